import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get, post } from '../../fakes/https-client.js';
import type { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { World, admissionRequest, metric, plainRegistry } from './world.js';

/** Clients that reach the port and send malformed HTTP on purpose. The built service runs with plain HTTP. */

const world = new World();
let service: RunningService;
let port: number;

beforeAll(async () => {
  const target = await world.registry();
  const config = { imageSwapPolicy: 'always', imageCopyPolicy: 'none', target: plainRegistry(target) };
  service = await world.serve(config, { plain: true });
  port = Number(new URL(service.url).port);
});
afterAll(() => world.close());

const BODY = JSON.stringify({ request: admissionRequest({ app: 'nginx' }) });
const ok = async (): Promise<void> => {
  const { status, text } = await post(`${service.url}/v1/kyverno`, BODY);
  expect(status).toBe(200);
  expect(text).toContain('docker.io/library/nginx:latest');
};
const ask = (headers: string, body: string): string =>
  `POST /v1/kyverno HTTP/1.1\r\nHost: x\r\n${headers === '' ? '' : `${headers}\r\n`}\r\n${body}`;
const whole = ask(`Content-Length: ${Buffer.byteLength(BODY)}`, BODY);

function open(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.once('error', reject);
  });
}

/** Milliseconds of silence after which the service has nothing more to send. */
const SILENCE_MS = 500;

/**
 * Sends the text and reads until the service closes the connection or is silent for a while, in which it has answered
 * another client.
 */
async function exchange(text: string, { halfClose = false } = {}): Promise<{ received: string; closed: boolean }> {
  const socket = await open();
  let received = '';
  let closed = false;
  let last = Date.now();
  socket.on('error', () => undefined);
  socket.on('close', () => (closed = true));
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString();
    last = Date.now();
  });
  socket.write(text);
  if (halfClose) socket.end();
  for (let silent = false; !closed && !silent;) {
    await sleep(10);
    const before = last;
    if (Date.now() - before < SILENCE_MS) continue;
    await ok();
    silent = last === before;
  }
  socket.destroy();
  return { received, closed };
}

const statuses = (received: string): string[] =>
  [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, code]) => code ?? '');

describe('requests that two parsers could interpret differently', () => {
  it.each([
    ['a length and chunks', ask('Content-Length: 4\r\nTransfer-Encoding: chunked', `0\r\n\r\n${whole}`)],
    ['two lengths', ask('Content-Length: 2\r\nContent-Length: 9', `{}${whole}`)],
    ['a list of lengths', ask('Content-Length: 2, 2', `{}${whole}`)],
    ['a signed length', ask('Content-Length: +2', `{}${whole}`)],
    ['a space before the colon', ask('Transfer-Encoding : chunked', `0\r\n\r\n${whole}`)],
    ['an unknown encoding', ask('Transfer-Encoding: xchunked', `0\r\n\r\n${whole}`)],
    ['chunked twice', ask('Transfer-Encoding: chunked, identity', `0\r\n\r\n${whole}`)],
    ['bare line feeds', `POST /v1/kyverno HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}${whole}`],
    [
      'a folded header',
      ask('A: b\r\n c: d\r\nContent-Length: 2', `{}${whole}`).replace('A: b', 'Content-Length: 2\r\nA: b'),
    ],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a chunk size with a sign', ask('Transfer-Encoding: chunked', `-1\r\n\r\n${whole}`)],
    ['a header of 20 KB', ask(`A: ${'a'.repeat(20_000)}`, '')],
    ['ten thousand headers', ask(Array.from({ length: 10_000 }, (_, n) => `A${n}: 1`).join('\r\n'), '')],
  ])('%s: one refusal, the connection closed, nothing behind it answered', async (_, text) => {
    const { received, closed } = await exchange(text);
    expect(statuses(received)).toHaveLength(1);
    expect(statuses(received)[0]).toMatch(/^4\d\d$/);
    expect(closed).toBe(true);
    await ok();
  });

  it('requests sent ahead are answered in their order', async () => {
    const { received } = await exchange(`${whole}${ask('Content-Length: 2', '{}')}${whole}`);
    expect(statuses(received)).toEqual(['200', '400', '200']);
  });

  it('a sender that closes its half after the request still gets its answer', async () => {
    const { received } = await exchange(whole, { halfClose: true });
    expect(statuses(received)).toEqual(['200']);
  });

  it.each([
    'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n',
    ask('Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2', '{}'),
  ])('no tunnel is opened and no protocol changed: %j', async (text) => {
    const { received } = await exchange(text);
    expect(statuses(received)).not.toContain('101');
    expect(statuses(received)).not.toContain('200');
    await ok();
  });

  it.each([
    '/v1/gatekeeper/%zz',
    '/%',
    '/{{request.object}}',
    '/\u00ff',
    '//v1/kyverno',
    '/v1/kyverno/../../etc/passwd',
  ])('path %j: a 4xx without braces, and no internal error in the log', async (path) => {
    const { received } = await exchange(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(statuses(received)[0]).toMatch(/^4\d\d$/);
    expect(received).not.toContain('{{');
    expect(service.log.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('senders that keep connections open', () => {
  it('those that leave in the middle of a body are not logged as errors', async () => {
    const before = await metric(service, 'image_swapper_resolve_requests_total', { outcome: 'aborted' });
    for (const leave of ['destroy', 'end'] as const) {
      const socket = await open();
      socket.on('error', () => undefined);
      socket.write(ask('Content-Length: 1000', '{"request":'));
      await sleep(50);
      socket[leave]();
    }
    const aborted = (): Promise<number> =>
      metric(service, 'image_swapper_resolve_requests_total', { outcome: 'aborted' });
    await until('both are counted', async () => (await aborted()) === before + 2);
    expect(await metric(service, 'image_swapper_resolve_requests_total', { outcome: '500' })).toBe(0);
    expect(service.log.filter(({ level }) => level === 'error')).toEqual([]);
    await ok();
  });

  it('with any number of bodies sent byte by byte delay no other request', async () => {
    const slow = await Promise.all(Array.from({ length: 200 }, open));
    for (const socket of slow) {
      socket.on('error', () => undefined);
      socket.write(ask('Content-Length: 100000', '{'));
    }
    await ok();
    for (const socket of slow) socket.write('"');
    await ok();
    for (const socket of slow) socket.destroy();
  });

  it('hold at most 64 MiB of unfinished bodies together; more get a 503', async () => {
    const before = residentBytes((await get(`${service.operations}/metrics`)).text);
    const almost = ask('Content-Length: 4000000', 'x'.repeat(3_900_000));
    const sockets = await Promise.all(Array.from({ length: 60 }, open));
    const busy = (): Promise<number> => metric(service, 'image_swapper_resolve_requests_total', { outcome: '503' });
    const answered = await busy();
    const told = new Set<Socket>();
    const reset = new Set<Socket>();
    for (const socket of sockets) {
      // The response may be lost when a connection closes with unread bytes. In that case, the client must get an
      // error.
      socket.on('error', () => reset.add(socket));
      socket.on('data', (chunk: Buffer) => void (chunk.toString().startsWith('HTTP/1.1 503 ') && told.add(socket)));
      socket.write(almost);
    }
    await until('the others are refused', async () => (await busy()) - answered >= 60 - 18);
    await until('they know', () => new Set([...told, ...reset]).size >= 60 - 18);
    expect(told.size).toBeGreaterThan((60 - 18) / 2);
    const held = residentBytes((await get(`${service.operations}/metrics`)).text) - before;
    expect(held).toBeLessThan(200 * 1024 * 1024);
    for (const socket of sockets) socket.destroy();
    await until('room', async () => (await post(`${service.url}/v1/kyverno`, BODY)).status === 200);
  });
});

function residentBytes(metrics: string): number {
  const [, bytes] = /^process_resident_memory_bytes (\S+)$/m.exec(metrics) ?? [];
  return Number(bytes ?? 'nothing');
}

describe('metric series under the control of clients', () => {
  it('do not grow with a thousand unusual requests', async () => {
    const strange = (n: number): Promise<unknown> => {
      const pod = {
        metadata: { namespace: `n${n}` },
        spec: { containers: [{ name: `c${n}`, image: `h${n}.test/i${n}:${n}` }] },
      };
      const request = { operation: `OP${n}`, namespace: `n${n}`, uid: `u${n}`, object: { kind: 'Pod', ...pod } };
      const path = ['/v1/kyverno', '/webhook', `/v1/gatekeeper/p${n}`, `/x${n}`][n % 4] ?? '';
      return post(`${service.url}${path}?q=${n}`, JSON.stringify({ request }));
    };
    const series = async (): Promise<number> =>
      (await get(`${service.operations}/metrics`)).text.split('\n').filter((line) => line.startsWith('image_swapper_'))
        .length;
    await Promise.all(Array.from({ length: 40 }, (_, n) => strange(n)));
    const before = await series();
    for (let n = 0; n < 1_000; n += 50) await Promise.all(Array.from({ length: 50 }, (_, i) => strange(100 + n + i)));
    expect(await series()).toBe(before);
  });
});
