import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RegistryClient } from '../../extension-service/src/registry/client.js';
import { RegistryError } from '../../extension-service/src/registry/errors.js';
import { RegistryFactory } from '../../extension-service/src/registry/factory.js';
import { heapInUse, StepMeter } from './meter.js';
import { mutate, Random } from './mutate.js';

/**
 * A hundred thousand HTTP exchanges with a registry whose answers are mutated as bytes: status lines, headers, chunks
 * and bodies. FUZZ_SEED repeats a run. FUZZ_EXCHANGES makes it shorter or longer. Every request ends with a result or
 * with a RegistryError.
 */
const exchanges = Number(process.env['FUZZ_EXCHANGES'] ?? 100_000);
const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 0x7fffffff));
const PARALLEL = 16;
const REQUESTS_PER_CLIENT = 50;
const MAX_STEP_MS = 200;
const MAX_GROWTH_BYTES = 48 * 1024 * 1024;

const digest = `sha256:${'a'.repeat(64)}`;
const descriptor = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: 5 };
const manifest = JSON.stringify({ schemaVersion: 2, config: descriptor, layers: [descriptor] });
const index = JSON.stringify({ mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [descriptor] });
const answer = (status: string, headers: readonly string[], body = ''): string =>
  [`HTTP/1.1 ${status}`, ...headers, `Content-Length: ${body.length}`, '', body].join('\r\n');

const ANSWERS = [
  answer(
    '200 OK',
    ['Content-Type: application/vnd.oci.image.manifest.v1+json', `Docker-Content-Digest: ${digest}`],
    manifest,
  ),
  answer('200 OK', ['Content-Type: application/vnd.oci.image.index.v1+json', 'Link: </v2/a/b?n=1>; rel="next"'], index),
  answer(
    '200 OK',
    ['Content-Type: application/json'],
    '{"token":"abc","expires_in":300,"issued_at":"2026-01-01T00:00:00Z"}',
  ),
  answer('401 Unauthorized', ['WWW-Authenticate: Bearer realm="/token",service="s",scope="repository:a/b:pull"']),
  answer(
    '401 Unauthorized',
    ['WWW-Authenticate: Basic realm="x"'],
    '{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}',
  ),
  answer('307 Temporary Redirect', ['Location: /v2/elsewhere/manifests/1']),
  answer('302 Found', ['Location: https://cdn.example.com/blob?sig=1']),
  answer('202 Accepted', ['Location: /v2/a/blobs/uploads/1?_state=x', 'Range: 0-0']),
  answer('201 Created', [`Docker-Content-Digest: ${digest}`, 'OCI-Subject: x']),
  answer('404 Not Found', ['Content-Type: application/json'], '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'),
  answer('429 Too Many Requests', ['Retry-After: 1', 'RateLimit-Remaining: 1;w=60'], 'slow down'),
  answer('503 Service Unavailable', ['Retry-After: Wed, 21 Oct 2026 07:28:00 GMT'], '<!doctype html><html></html>'),
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
];
/** The first byte of a TLS record. The client checks whether the server supports HTTPS. */
const TLS_HANDSHAKE = 0x16;

let server: Server;
let host: string;
let served = 0;
const random = new Random(seed);
let lastAnswer = '';

beforeAll(async () => {
  server = createServer(serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

function serve(socket: Socket): void {
  socket.on('error', () => undefined);
  let received = '';
  socket.on('data', (piece: Buffer) => {
    if (piece[0] === TLS_HANDSHAKE) return void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    received += piece.toString('latin1');
    if (!received.includes('\r\n\r\n')) return;
    received = '';
    served++;
    const plain = random.below(4) === 0;
    lastAnswer = plain ? random.pick(ANSWERS) : mutate(random, ANSWERS);
    // A mutated response may promise more bytes than it has.
    if (plain) socket.write(lastAnswer, 'latin1');
    else socket.end(lastAnswer, 'latin1');
  });
}

function ask(client: RegistryClient): Promise<unknown> {
  switch (random.below(7)) {
    case 0:
      return client.headManifest('team/app', 'latest');
    case 1:
      return client.getManifest('team/app', digest);
    case 2:
      return client.getReferrers('team/app', digest, '');
    case 3:
      return client.headBlob('team/app', { digest });
    case 4:
      return client.getBlob('team/app', descriptor).then(({ stream }) => stream.destroy());
    case 5:
      return client.putManifest('team/app', 'latest', {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest,
        bytes: Buffer.from(manifest),
      });
    default:
      return client.getManifest('team/app', 'latest');
  }
}

describe(`${exchanges} exchanges, FUZZ_SEED=${seed}`, () => {
  it('each end fast with a result or a RegistryError and without a leak', async () => {
    // The client connects only to this server, regardless of any Location.
    const hosts = { allow: [], deny: ['0.0.0.0/1', '128.0.0.0/1', '::/0'] };
    const factory = new RegistryFactory({
      endpoints: [{ host, insecure: true }],
      hosts,
      env: {},
      maxSockets: PARALLEL,
      retry: { attempts: 1 },
      timeouts: { connect: 5_000, headers: 1_000, idle: 1_000 },
      resolve: (name, callback) => callback(Object.assign(new Error(`no ${name}`), { code: 'ENOTFOUND' }), []),
    });
    const keychain = { resolve: async () => [{ username: 'user', password: 'secret' }] };
    const count = { results: 0, errors: 0 };
    const meter = new StepMeter();
    let warm = 0;
    const work = async (): Promise<void> => {
      while (served < exchanges) {
        const client = factory.client(host, keychain);
        for (let n = 0; n < REQUESTS_PER_CLIENT; n++) {
          try {
            await ask(client);
            count.results++;
          } catch (error) {
            if (!(error instanceof RegistryError)) {
              throw new Error(`after ${JSON.stringify(lastAnswer)}, FUZZ_SEED=${seed}`, { cause: error });
            }
            count.errors++;
          }
          // The first connections load the root certificates.
          if (warm > 0) meter.stop(lastAnswer);
        }
        if (warm === 0 && served > exchanges / 5) {
          warm = heapInUse();
          meter.start();
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, work));
    factory.close();
    const growth = heapInUse() - warm;
    process.stderr.write(
      `exchanges: ${served}, ${count.results} results, ${count.errors} errors, ` +
        `longest step ${meter.longest.toFixed(1)} ms of CPU, growth ${(growth / 1024).toFixed(0)} KiB\n`,
    );
    expect(served).toBeGreaterThanOrEqual(exchanges);
    expect(count.results).toBeGreaterThan(exchanges / 50);
    expect(count.errors).toBeGreaterThan(exchanges / 50);
    expect([meter.longest < MAX_STEP_MS, meter.longestInput]).toEqual([true, meter.longestInput]);
    expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  });
});
