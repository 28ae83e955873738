import { connect, createServer, Socket, type AddressInfo, type Server } from 'node:net';
import http from 'node:http';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { RegistryClient } from '../../../extension-service/src/registry/client.js';
import { RegistryFactory, type RegistryFactoryOptions } from '../../../extension-service/src/registry/factory.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry, type FakeRegistryOptions } from '../../fakes/registry.js';

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const image = buildImage({ layerSize: 100_000 });
const [blob] = image.blobs;
if (blob === undefined) throw new Error('no blob');
const descriptor = { mediaType: '', digest: blob.digest, size: blob.size };
const users = { user: 'secret' };

async function start(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options);
  cleanups.push(() => registry.close());
  loadImage(registry, 'team/app', image, 'v1');
  return registry;
}

function client(host: string, options: Partial<RegistryFactoryOptions> = {}): RegistryClient {
  const factory = new RegistryFactory({
    endpoints: [{ host, insecure: true }],
    hosts: { allow: [], deny: [] },
    env: {},
    timeouts: { connect: 1_000, headers: 300, idle: 300 },
    retry: { attempts: 2, baseDelay: 1, maxDelay: 5 },
    ...options,
  });
  cleanups.push(() => factory.close());
  return factory.client(host, { resolve: async () => [{ username: 'user', password: 'secret' }] });
}

async function read(of: RegistryClient): Promise<number> {
  const { stream } = await of.getBlob('team/app', descriptor);
  let size = 0;
  for await (const piece of stream as AsyncIterable<Buffer>) size += piece.length;
  return size;
}

describe('redirects of blobs', () => {
  it('are followed without the credentials', async () => {
    const storage = await start();
    const registry = await start({ auth: { type: 'basic', users } });
    registry.fault({ path: '/blobs/', action: { type: 'redirect', to: storage.origin } });
    expect(await read(client(registry.host))).toBe(descriptor.size);
    const [arrived] = storage.accessLog;
    expect(arrived?.query).toContain('X-Amz-Signature');
    expect(arrived?.headers.authorization).toBeUndefined();
    expect(registry.accessLog.some(({ authorization }) => authorization === 'basic')).toBe(true);
  });

  it.each(['file:///etc/', 'http://169.254.169.254/', 'http://[fe80::1]/', 'http://0.0.0.0/'])(
    'to %s are refused',
    async (to) => {
      const registry = await start();
      registry.fault({ path: '/blobs/', action: { type: 'redirect', to } });
      await expect(read(client(registry.host))).rejects.toMatchObject({ kind: 'refused', retryable: false });
    },
  );

  it('from https to http are refused', async () => {
    const { ca, cert, key } = await makeCertificates({ hosts: ['127.0.0.1'] });
    const plain = await start();
    const registry = await start({ tls: { cert, key } });
    registry.fault({ path: '/blobs/', action: { type: 'redirect', to: plain.origin } });
    const secure = client(registry.host, { endpoints: [{ host: registry.host, insecure: false, ca }] });
    await expect(read(secure)).rejects.toThrow(/redirects from https: to http:/);
    expect(plain.accessLog).toEqual([]);
  });

  it('in a circle end, and their errors hide the signature', async () => {
    const registry = await start();
    registry.fault({ path: '/blobs/', action: { type: 'redirect', to: registry.origin } });
    const error = (await read(client(registry.host)).catch((reason: unknown) => reason)) as Error;
    expect(error.message).toMatch(/redirects more than 5 times/);
    expect(error.message).not.toMatch(/signed-secret/);
  });
});

describe('TLS', () => {
  it('is verified, trusts a configured CA, and is not verified for insecure endpoints', async () => {
    const { ca, cert, key } = await makeCertificates({ hosts: ['127.0.0.1'] });
    const registry = await start({ tls: { cert, key } });
    const { host } = registry;
    const endpoint = (more: object) => ({ endpoints: [{ host, insecure: false, ...more }] });
    await expect(client(host, endpoint({})).headManifest('team/app', 'v1')).rejects.toMatchObject({
      kind: 'unreachable',
      retryable: false,
      message: expect.stringContaining('set caFile') as string,
    });
    expect((await client(host, endpoint({ ca })).headManifest('team/app', 'v1'))?.digest).toBe(image.digest);
    expect((await client(host).headManifest('team/app', 'v1'))?.digest).toBe(image.digest);
    expect(registry.accessLog.filter(({ path }) => path === '/v2/')).toHaveLength(1);
  });

  it('falls back to plain HTTP only for insecure endpoints, after one check', async () => {
    const { host } = await start();
    let connections = 0;
    const counted = client(host);
    await Promise.all(
      Array.from({ length: 4 }, async () => void ((await counted.headManifest('team/app', 'v1')) && connections++)),
    );
    expect(connections).toBe(4);
    const strict = client(host, { endpoints: [{ host, insecure: false }] });
    await expect(strict.headManifest('team/app', 'v1')).rejects.toThrow(/does not use HTTPS: set insecure/);
  });
});

describe('addresses', () => {
  it('are checked for hosts that Pods name, at the connected address, each time', async () => {
    const { ca, cert, key } = await makeCertificates({ hosts: ['rebind.example'] });
    const registry = await start({ tls: { cert, key } });
    const port = registry.host.split(':')[1] ?? '';
    const resolve: RegistryFactoryOptions['resolve'] = (_, callback) =>
      callback(null, [{ address: '127.0.0.1', family: 4 }]);
    const host = `rebind.example:${port}`;
    await expect(client(host, { endpoints: [], resolve }).headManifest('team/app', 'v1')).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('source.allow') as string,
    });
    expect(registry.accessLog).toEqual([]);
    const trusted = client(host, { endpoints: [{ host, insecure: false, ca }], resolve });
    expect((await trusted.headManifest('team/app', 'v1'))?.digest).toBe(image.digest);
  });

  it.each(['127.0.0.1', '[::1]', '169.254.169.254', '[::ffff:127.0.0.1]', '2130706433', '0x7f.0.0.1', 'localhost'])(
    'refuses %s in a reference',
    async (name) => {
      const registry = await start();
      const host = `${name}:${registry.host.split(':')[1] ?? ''}`;
      await expect(client(host, { endpoints: [] }).headManifest('x', 'v1')).rejects.toMatchObject({ kind: 'refused' });
      expect(registry.accessLog).toEqual([]);
    },
  );
});

describe('sockets and timeouts', () => {
  it('give each address of a name more time than the 250 ms of Node, which distant registries exceed', async () => {
    const registry = await start();
    const connecting = vi.spyOn(Socket.prototype, 'connect');
    try {
      await client(registry.host).getManifest('team/app', 'v1');
      const options = connecting.mock.calls
        .flat(2)
        .filter((argument) => typeof argument === 'object' && argument !== null);
      expect(options).toContainEqual(expect.objectContaining({ autoSelectFamilyAttemptTimeout: 1_500 }));
    } finally {
      connecting.mockRestore();
    }
  });

  it('uses one connection for many requests in a row', async () => {
    const registry = await start();
    const one = client(registry.host);
    for (let i = 0; i < 5; i++) await one.getManifest('team/app', 'v1');
    expect(new Set(registry.accessLog.map(({ connection }) => connection)).size).toBe(1);
  });

  it('bounds the connections to one registry', async () => {
    const registry = await start();
    registry.fault({ path: '/manifests/', action: { type: 'delay', milliseconds: 30 } });
    const bounded = client(registry.host, { maxSockets: 3 });
    await Promise.all(Array.from({ length: 12 }, () => bounded.getManifest('team/app', 'v1')));
    expect(new Set(registry.accessLog.map(({ connection }) => connection)).size).toBeLessThanOrEqual(3);
  });

  it('gives up on a registry that accepts and never answers', async () => {
    const registry = await start();
    registry.fault({ path: '/manifests/', action: { type: 'hang' } });
    await expect(client(registry.host).getManifest('team/app', 'v1')).rejects.toThrow(/no response for 300 ms/);
    expect(registry.requests(({ path }) => path.includes('/manifests/'))).toHaveLength(2);
  });

  it('waits longer for a layer that a proxy scans, and for the storage of an uploaded one', async () => {
    const registry = await start();
    const timeouts = { connect: 5_000, headers: 300, transfer: 10_000, idle: 5_000 };
    const patient = client(registry.host, { timeouts, retry: { attempts: 1 } });
    registry.fault({ path: '/blobs/sha256', action: { type: 'delay', milliseconds: 900 } });
    registry.fault({ method: 'PUT', action: { type: 'delay', milliseconds: 900 } });
    const open = () => patient.getBlob('team/app', descriptor);
    expect(await patient.uploadBlob('team/other', descriptor, open)).toBe('uploaded');
    const chunked = client(registry.host, {
      timeouts,
      retry: { attempts: 1 },
      endpoints: [{ host: registry.host, insecure: true, uploadChunk: 40_000 }],
    });
    expect(await chunked.uploadBlob('team/third', descriptor, open)).toBe('uploaded');
    for (const repository of ['team/other', 'team/third'])
      expect(registry.blob(descriptor.digest, repository)?.size).toBe(descriptor.size);
    registry.fault({ path: '/manifests/', action: { type: 'delay', milliseconds: 900 } });
    await expect(patient.getManifest('team/app', 'v1')).rejects.toThrow(/no response for 300 ms/);
  });

  it('gives up on a body that stops, but not on a slow reader', async () => {
    const registry = await start();
    const reader = client(registry.host);
    const { stream } = await reader.getBlob('team/app', descriptor);
    await new Promise((resolve) => setTimeout(resolve, 700));
    let size = 0;
    for await (const piece of stream as AsyncIterable<Buffer>) size += piece.length;
    expect(size).toBe(descriptor.size);
    registry.fault({ path: '/blobs/', action: { type: 'hang', after: 1_000 } });
    await expect(read(reader)).rejects.toThrow(/the body stalled for 300 ms/);
  });

  it('gives up on a body that drips, however long its layer is', async () => {
    const registry = await start();
    registry.fault({ path: '/blobs/', action: { type: 'drip', interval: 20 } });
    const timeouts = { connect: 5_000, headers: 5_000, idle: 5_000, slow: 400 };
    await expect(read(client(registry.host, { timeouts }))).rejects.toThrow(
      /the body arrived at less than 1024 bytes a second for 400 ms/,
    );
  });

  it('gives up on a connection that is not established', async () => {
    const sockets: Socket[] = [];
    const silent = await listen(createServer((socket) => sockets.push(socket)));
    cleanups.push(() => sockets.forEach((socket) => socket.destroy()));
    const { message } = (await client(silent, {
      endpoints: [{ host: silent, insecure: false }],
      timeouts: { connect: 200 },
    })
      .headManifest('x', 'v1')
      .catch((reason: unknown) => reason)) as Error;
    expect(message).toMatch(/no connection for 200 ms/);
  });

  it('reports that the port is closed', async () => {
    const free = createServer();
    const host = await listen(free);
    await new Promise((resolve) => free.close(resolve));
    await expect(client(host).headManifest('x', 'v1')).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
  });
});

describe('proxies', () => {
  it.each(['http', 'https'] as const)('carry %s, unless NO_PROXY names the network', async (scheme) => {
    const { ca, cert, key } = await makeCertificates({ hosts: ['registry.example'] });
    const registry = await start(scheme === 'https' ? { tls: { cert, key } } : {});
    const port = registry.host.split(':')[1] ?? '';
    const seen: string[] = [];
    const proxy = await startProxy(seen, registry.host);
    const host = `registry.example:${port}`;
    const env = { HTTP_PROXY: `http://user:pass@${proxy}`, HTTPS_PROXY: `http://user:pass@${proxy}` };
    const resolve: RegistryFactoryOptions['resolve'] = (_, callback) =>
      callback(null, [{ address: '127.0.0.1', family: 4 }]);
    const endpoints = [{ host, insecure: scheme === 'http', ...(scheme === 'https' && { ca }) }];
    expect((await client(host, { env, endpoints, resolve }).headManifest('team/app', 'v1'))?.digest).toBe(image.digest);
    expect(seen.at(-1)).toMatch(scheme === 'https' ? /^CONNECT registry\.example/ : /^HEAD http:\/\/registry\.example/);
    const count = seen.length;
    const direct = client(host, { env: { ...env, NO_PROXY: '10.0.0.0/8,.example' }, endpoints, resolve });
    expect((await direct.headManifest('team/app', 'v1'))?.digest).toBe(image.digest);
    expect(seen).toHaveLength(count);
  });
});

/** A forward proxy that sends every host name to `upstream`. */
async function startProxy(seen: string[], upstream: string): Promise<string> {
  const [address = '', port = ''] = upstream.split(':');
  const server = http.createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    const { pathname } = new URL(request.url ?? '');
    const onward = http.request({
      host: address,
      port,
      path: pathname,
      method: request.method,
      headers: request.headers,
    });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.end();
  });
  server.on('connect', (request, socket: Socket) => {
    seen.push(
      `CONNECT ${request.url} ${request.headers['proxy-authorization'] === undefined ? 'anonymous' : 'authorized'}`,
    );
    const onward = connect(Number(port), address, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  });
  cleanups.push(() => server.closeAllConnections());
  return listen(server);
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('connections that the server has closed in the meantime', () => {
  /** Responds to the first requests of each connection and resets it at the next one, as after a keep-alive timeout. */
  async function closing(answered: number): Promise<{ readonly host: string; readonly log: string[] }> {
    const log: string[] = [];
    const server = http.createServer((request, response) => {
      const socket = request.socket as Socket & { requests?: number };
      socket.requests = (socket.requests ?? 0) + 1;
      const isClosed = request.url !== '/v2/' && socket.requests > answered;
      log.push(`${request.method ?? ''} ${isClosed ? 'closed' : 'answered'}`);
      if (isClosed) return void socket.resetAndDestroy();
      request.resume();
      const status = request.url === '/v2/' ? 200 : request.method === 'POST' ? 202 : 204;
      response.writeHead(request.method === 'HEAD' ? 200 : status, {
        'content-type': 'application/vnd.oci.image.manifest.v1+json',
        'docker-content-digest': image.digest,
        location: '/v2/team/app/blobs/uploads/1',
        'content-length': '0',
      });
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(
      () => server.closeAllConnections(),
      () => void server.close(),
    );
    return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, log };
  }

  it('do not fail the request, which is sent again immediately without counting as a retry', async () => {
    const { host, log } = await closing(2);
    const once = client(host, { retry: { attempts: 1 } });
    for (let i = 0; i < 8; i += 1) expect((await once.headManifest('team/app', 'v1'))?.digest).toBe(image.digest);
    await once.probePush('team/app');
    expect(log.filter((line) => line === 'HEAD answered')).toHaveLength(8);
    expect(log.filter((line) => line.endsWith('closed')).length).toBeGreaterThan(1);
    expect(log).toContain('POST answered');
  });

  it('cause a failure when a new connection is closed as well', async () => {
    const { host, log } = await closing(0);
    const once = client(host, { retry: { attempts: 1 } });
    await expect(once.headManifest('team/app', 'v1')).rejects.toMatchObject({ kind: 'unreachable' });
    expect(log.filter((line) => line === 'HEAD closed').length).toBeLessThanOrEqual(2);
  });
});
