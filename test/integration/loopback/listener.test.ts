import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { once } from 'node:events';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AdmissionRequest, AdmissionResult } from '../../../extension-service/src/server/admission.js';
import { admissionApp } from '../../../extension-service/src/server/app.js';
import { readBody } from '../../../extension-service/src/server/body.js';
import { ListenError, closeServer, createServer, listen } from '../../../extension-service/src/server/listen.js';
import type { AnyServer } from '../../../extension-service/src/server/listen.js';
import { admissionListener } from '../../../extension-service/src/server/listener.js';
import { admissionRoutes } from '../../../extension-service/src/server/routes.js';
import { createMetrics } from '../../../extension-service/src/telemetry/metrics.js';

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const POD = { kind: 'Pod', metadata: { name: 'web' }, spec: { containers: [{ name: 'a', image: 'nginx' }] } };
const REQUEST = { uid: 'u', namespace: 'default', operation: 'CREATE', object: POD };
const EMPTY: AdmissionResult = { containers: [], swaps: [] };

let server: AnyServer;
let port: number;
let stopping: boolean;
let review: (request: AdmissionRequest) => Promise<AdmissionResult>;
let logged: string;

beforeEach(async () => {
  stopping = false;
  logged = '';
  review = () => Promise.resolve(EMPTY);
  const log = pino({ level: 'debug' }, { write: (line: string) => (logged += line) });
  const metrics = createMetrics();
  const routes = admissionRoutes({
    admission: { review: (request) => review(request), reviewImages: () => Promise.resolve([]) },
    gatekeeperRules: () => undefined,
    policies: { observe: () => undefined, cannotDecide: () => undefined },
    log,
    metrics,
  });
  const readers = { checkReader: () => undefined };
  const app = admissionApp({ explain: (body) => Promise.resolve({ asked: body }), readers, log });
  server = createServer(
    admissionListener({
      routes,
      callers: { check: () => Promise.resolve({ isTrusted: true }) },
      app,
      log,
      metrics,
      stopping: () => stopping,
    }),
  );
  port = (await listen(server, '127.0.0.1:0', '--listen-address')).port;
});

afterEach(() => closeServer(server, 0));

function send(
  path: string,
  options: { method?: string; body?: string | Buffer; headers?: Record<string, string>; chunked?: boolean } = {},
): Promise<Reply> {
  const { method = 'POST', body = '', headers = {}, chunked = false } = options;
  return new Promise((resolve, reject) => {
    const length = chunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': Buffer.byteLength(body) };
    const sent = httpRequest(
      { host: '127.0.0.1', port, path, method, headers: { ...length, ...headers }, agent: false },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

const errorOf = (reply: Reply): unknown => (JSON.parse(reply.body) as { error: unknown }).error;

describe('answers bad input with a status, a code and a sentence', () => {
  it.each([
    ['not JSON', '/v1/kyverno', 'hello', 400, 'invalid_json'],
    ['no Pod', '/v1/kyverno', '{"request":{"object":{"kind":"Service"}}}', 400, 'wrong_kind'],
    ['no containers', '/v1/kyverno', '{"request":{"object":{"kind":"Pod","spec":{}}}}', 400, 'invalid_request'],
    ['no ProviderRequest', '/v1/gatekeeper', '{}', 400, 'invalid_request'],
    ['no AdmissionReview', '/webhook', '{}', 400, 'invalid_request'],
    ['no JSON to explain', '/v1/explain', '{', 400, 'invalid_json'],
    ['an unknown path', '/v2/kyverno', '{}', 404, 'not_found'],
  ])('%s', async (_name, path, body, status, code) => {
    const reply = await send(path, { body });
    expect(reply.status).toBe(status);
    expect(reply.headers['content-type']).toMatch(/^application\/json/);
    expect(errorOf(reply)).toMatchObject({ code, message: expect.any(String) as unknown });
  });

  it.each(['/v1/kyverno', '/v1/gatekeeper', '/v1/gatekeeper/profile', '/webhook', '/v1/explain'])(
    'GET %s',
    async (path) => {
      const reply = await send(path, { method: 'GET' });
      expect(reply).toMatchObject({ status: 405, headers: { allow: 'POST' } });
    },
  );

  it.each([false, true])('a body of 5 MB (chunked: %s)', async (chunked) => {
    const body = Buffer.alloc(5_000_000, 'x');
    const reply = await send('/v1/kyverno', { body, chunked }).catch((error: NodeJS.ErrnoException) => error.code);
    // The service closes the connection while the client still sends. Depending on timing, the client sees the response
    // or the closed connection.
    if (typeof reply === 'object') {
      expect(reply.status).toBe(413);
      expect(errorOf(reply)).toMatchObject({ code: 'too_large' });
    } else {
      expect(reply).toMatch(/EPIPE|ECONNRESET/);
    }
    expect(logged).toContain('"too_large"');
    expect((await send('/v1/kyverno', { body: JSON.stringify({ request: REQUEST }) })).status).toBe(200);
  });

  it('a client that disconnects in the middle of its body does not stop the service', async () => {
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write('POST /v1/kyverno HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"request":');
    socket.destroy();
    expect((await send('/v1/kyverno', { body: JSON.stringify({ request: REQUEST }) })).status).toBe(200);
  });

  it.each(['', '{"request":'])('abandons a body that stops after %j', async (sent) => {
    const slow = createServer((request, response) => {
      readBody(request, 200).catch((error: Error) => response.end(error.name));
    });
    const address = await listen(slow, '127.0.0.1:0', '--listen-address');
    const socket = connect(address.port, '127.0.0.1');
    socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n${sent}`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toContain('SlowBodyError');
    socket.destroy();
    await closeServer(slow, 0);
  });

  it('answers 500 without leaking internals', async () => {
    review = () => Promise.reject(new Error('secret detail'));
    const reply = await send('/v1/kyverno', { body: JSON.stringify({ request: REQUEST }) });
    expect(reply.status).toBe(500);
    expect(reply.body).not.toContain('secret detail');
    expect(logged).toContain('secret detail');
  });
});

describe('connections', () => {
  const body = JSON.stringify({ request: REQUEST });
  const asString = JSON.stringify({ request: JSON.stringify(REQUEST) });

  it.each([undefined, 'application/json', 'text/plain', 'application/x-www-form-urlencoded'])(
    'answer the same for any Content-Type (%s)',
    async (type) => {
      const reply = await send('/v1/kyverno', { body, headers: type === undefined ? {} : { 'Content-Type': type } });
      expect(reply).toMatchObject({ status: 200, body: '{"images":{},"patches":[]}' });
    },
  );

  it('stay open after a MutatingPolicy and are closed after a ClusterPolicy', async () => {
    const headers = { Connection: 'keep-alive' };
    const reply = await send('/v1/kyverno', { body, headers });
    expect(reply.headers).toMatchObject({ connection: 'keep-alive', 'keep-alive': 'timeout=95' });
    expect((await send('/v1/kyverno', { body: asString, headers })).headers.connection).toBe('close');
  });

  it('are closed while stopping, after an answer in flight was written', async () => {
    let finish: (result: AdmissionResult) => void = () => undefined;
    let asked: () => void = () => undefined;
    const inFlight = new Promise<void>((resolve) => (asked = resolve));
    review = () =>
      new Promise((resolve) => {
        finish = resolve;
        asked();
      });
    const reply = send('/v1/kyverno', { body, headers: { Connection: 'keep-alive' } });
    await inFlight;
    stopping = true;
    const closed = closeServer(server, 5_000);
    finish(EMPTY);
    expect(await reply).toMatchObject({ status: 200, headers: { connection: 'close' } });
    await closed;
    await expect(send('/v1/kyverno', { body })).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe('explain', () => {
  it('receives the parsed body for any Content-Type', async () => {
    const reply = await send('/v1/explain', { body: '{"image":"nginx"}' });
    expect(JSON.parse(reply.body)).toEqual({ asked: { image: 'nginx' } });
  });
});

describe('listening', () => {
  it('on a port in use says which flag to change', async () => {
    const second = createServer(() => undefined);
    await expect(listen(second, `127.0.0.1:${port}`, '--listen-address')).rejects.toThrow(
      `--listen-address 127.0.0.1:${port}: the port is in use; stop the other program or choose another port`,
    );
  });

  it.each(['8443', 'localhost', 'a:b', '127.0.0.1:99999', ''])('refuses %j', async (address) => {
    await expect(
      listen(
        createServer(() => undefined),
        address,
        '--metrics-address',
      ),
    ).rejects.toThrow(ListenError);
  });

  it.each([':0', '[::1]:0', 'localhost:0'])('takes %s', async (address) => {
    const other = createServer(() => undefined);
    const { port: taken }: AddressInfo = await listen(other, address, '--metrics-address');
    expect(taken).toBeGreaterThan(0);
    await closeServer(other, 0);
  });
});
