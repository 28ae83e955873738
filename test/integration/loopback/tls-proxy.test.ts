import { createServer, get as httpGet } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProxyAgent, request, type Dispatcher } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { TlsProxy, type TlsProxyOptions } from '../../fakes/tls-proxy.js';
import { until } from '../../fakes/until.js';

const HOST = '123456789012.dkr.ecr.eu-central-1.amazonaws.com';
const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(options: Partial<TlsProxyOptions> = {}): Promise<TlsProxy> {
  const proxy = await TlsProxy.start({ hosts: { [HOST]: undefined }, ...options });
  cleanups.push(() => proxy.close());
  return proxy;
}

async function registry(): Promise<FakeRegistry> {
  const started = await FakeRegistry.start();
  cleanups.push(() => started.close());
  return started;
}

/** A client that sends everything through the proxy and trusts its CA. */
function through(proxy: TlsProxy, ca = proxy.ca): Dispatcher {
  const agent = new ProxyAgent({ uri: proxy.url, requestTls: { ca } });
  cleanups.push(() => agent.destroy());
  return agent;
}

function get(proxy: string, path: string): Promise<{ status: number | undefined }> {
  return new Promise((resolve, reject) => {
    httpGet(proxy, { path, agent: false }, (response) => {
      response.resume();
      resolve({ status: response.statusCode });
    }).on('error', reject);
  });
}

describe('a proxy that stands in for hosts', () => {
  it('forwards complete requests to the backend of the host and logs them', async () => {
    const target = await registry();
    const image = buildImage({ layerSize: 300_000 });
    loadImage(target, 'team/app', image, 'v1');
    const proxy = await start({ hosts: { [HOST]: target.origin } });
    const dispatcher = through(proxy);
    const [blob] = image.blobs;
    const path = `/v2/team/app/blobs/${blob?.digest ?? ''}`;
    const headers = { authorization: 'Basic c2VjcmV0', 'x-other': 'kept' };
    const answer = await request(`https://${HOST}${path}?a=b`, { dispatcher, headers });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['docker-content-digest']).toBe(blob?.digest);
    expect(await answer.body.arrayBuffer()).toHaveProperty('byteLength', blob?.size);
    expect(target.accessLog[0]?.headers).toMatchObject({ ...headers, host: HOST });
    expect(proxy.log).toMatchObject([
      { host: HOST, method: 'GET', path, query: 'a=b', authorization: 'basic', status: 200 },
    ]);
    expect(JSON.stringify(proxy.log)).not.toContain('c2VjcmV0');
    expect(proxy.connects).toEqual([{ host: HOST, outcome: 'opened' }]);
  });

  it('rewrites only the backend’s own Location to the host', async () => {
    const target = await registry();
    const proxy = await start({ hosts: { [HOST]: target.origin } });
    const dispatcher = through(proxy);
    const begun = await request(`https://${HOST}/v2/app/blobs/uploads/`, { dispatcher, method: 'POST' });
    expect(begun.statusCode).toBe(202);
    const location = String(begun.headers['location']);
    expect(location).toMatch(new RegExp(`^https://${HOST}/v2/app/blobs/uploads/.*_state=opaque%3D%2F$`));
    const patched = await request(location, { dispatcher, method: 'PATCH', body: 'x'.repeat(100_000) });
    expect(patched.headers['range']).toBe('0-99999');
    target.fault({ path: '/blobs/', action: { type: 'redirect', to: 'https://storage.example.com' } });
    const moved = await request(`https://${HOST}/v2/app/blobs/sha256:1`, { dispatcher });
    expect(moved.headers['location']).toMatch(/^https:\/\/storage\.example\.com\//);
  });

  it('streams in both directions at the same time', async () => {
    const echo = createServer((incoming, outgoing) => void incoming.pipe(outgoing));
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
    cleanups.push(
      () => echo.closeAllConnections(),
      () => void echo.close(),
    );
    const proxy = await start({ hosts: { [HOST]: `http://127.0.0.1:${(echo.address() as AddressInfo).port}` } });
    const received: string[] = [];
    async function* body(): AsyncGenerator<string> {
      yield 'first';
      // The second piece waits for the echo of the first, which a buffering proxy would never send.
      await until('the echo', () => received.length > 0);
      yield 'second';
    }
    const answer = await request(`https://${HOST}/`, {
      dispatcher: through(proxy),
      method: 'POST',
      body: Readable.from(body()),
    });
    for await (const piece of answer.body as AsyncIterable<Buffer>) received.push(piece.toString());
    expect(received).toEqual(['first', 'second']);
  });

  it('calls the hook first, which can answer, read the body, change the path or close the connection', async () => {
    const target = await registry();
    const proxy = await start({ hosts: { [HOST]: target.origin } });
    const bodies: string[] = [];
    const statuses: number[] = [];
    proxy.setHook(HOST, async (asked) => {
      const { method, path, query } = asked;
      if (method === 'PUT') bodies.push((await asked.body()).toString());
      if (path === '/reset') return { fault: 'reset' };
      if (path === '/gone') return { status: 410, headers: { 'x-why': 'hook' }, body: 'gone' };
      if (query.has('mount')) return { forward: { path, answered: (status) => statuses.push(status) } };
      return undefined;
    });
    const dispatcher = through(proxy);
    const gone = await request(`https://${HOST}/gone`, { dispatcher });
    expect([gone.statusCode, gone.headers['x-why'], await text(gone.body)]).toEqual([410, 'hook', 'gone']);
    await expect(request(`https://${HOST}/reset`, { dispatcher })).rejects.toThrow(/closed|reset/i);
    await request(`https://${HOST}/v2/app/blobs/uploads/?mount=sha256:1&from=x`, { dispatcher, method: 'POST' });
    const manifest = '{"schemaVersion":2,"layers":[]}';
    const put = await request(`https://${HOST}/v2/app/manifests/v1`, { dispatcher, method: 'PUT', body: manifest });
    expect(put.statusCode).toBe(201);
    expect(bodies).toEqual([manifest]);
    expect(target.manifest('app', 'v1')?.bytes.toString()).toBe(manifest);
    expect(statuses).toEqual([202]);
    expect(target.accessLog[0]?.query).toBe('');
    expect(proxy.log.map(({ status }) => status)).toEqual([410, 0, 202, 201]);
  });

  it('refuses other hosts and ports, wrong credentials, and clients that do not trust it', async () => {
    const proxy = await start({ hosts: { [HOST]: undefined }, credentials: 'me:secret' });
    const dispatcher = through(proxy);
    await expect(request('https://elsewhere.example.com/', { dispatcher })).rejects.toThrow(/502/);
    await expect(request(`https://${HOST}:8443/`, { dispatcher })).rejects.toThrow(/502/);
    const anonymous = new ProxyAgent({ uri: proxy.url.replace('me:secret@', ''), requestTls: { ca: proxy.ca } });
    cleanups.push(() => anonymous.destroy());
    await expect(request(`https://${HOST}/`, { dispatcher: anonymous })).rejects.toThrow(/407/);
    const other = await start();
    await expect(request(`https://${HOST}/`, { dispatcher: through(proxy, other.ca) })).rejects.toThrow(/certificate/);
    expect(proxy.connects.map(({ outcome }) => outcome)).toEqual([
      'unknown host',
      'unknown host',
      'wrong credentials',
      'opened',
    ]);
    expect(proxy.log).toEqual([]);
  });

  it('serves http hosts as well', async () => {
    const target = await registry();
    const proxy = await start({ hosts: { 'metadata.example.com': target.origin } });
    // Clients send http URLs to proxies in absolute form.
    expect((await get(proxy.url, 'http://metadata.example.com/v2/')).status).toBe(200);
    expect(proxy.log).toMatchObject([{ host: 'metadata.example.com', path: '/v2/', status: 200 }]);
    expect((await get(proxy.url, 'http://other.example.com/')).status).toBe(502);
  });

  it.each(['connect', 'handshake', 'request'] as const)(
    'stops answering for a host at its %s, and resumes',
    async (at) => {
      const target = await registry();
      const proxy = await start({ hosts: { [HOST]: target.origin } });
      proxy.setBlackHole(HOST, at);
      // undici ignores an abort until it has a connection.
      const asked = request(`https://${HOST}/v2/`, { dispatcher: through(proxy) }).catch(() => 'failed');
      expect(await Promise.race([asked, sleep(150, 'silence')])).toBe('silence');
      expect(target.accessLog).toEqual([]);
      proxy.setBlackHole(HOST, undefined);
      expect((await request(`https://${HOST}/v2/`, { dispatcher: through(proxy) })).statusCode).toBe(200);
      expect(proxy.log.at(-1)?.status).toBe(200);
    },
  );
});
