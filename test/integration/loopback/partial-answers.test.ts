import { createHash } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { FakeRegistry } from '../../fakes/registry.js';

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const BLOB = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251));
const digest = `sha256:${createHash('sha256').update(BLOB).digest('hex')}`;
const blob = { mediaType: '', digest, size: BLOB.length };
const CUT = 60_000;

/**
 * A source that interrupts its first response, and answers 200 to a request for the rest. `rest` is the Content-Range
 * and the body.
 */
async function source(rest: (from: number) => { readonly contentRange?: string; readonly body: Buffer }) {
  const ranges: (string | undefined)[] = [];
  const server = http.createServer(({ headers }, response) => {
    ranges.push(headers.range);
    const from = Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
    if (ranges.length === 1) {
      response.writeHead(200, { 'content-length': BLOB.length });
      response.write(BLOB.subarray(0, CUT), () => setTimeout(() => response.destroy(), 20));
      return;
    }
    const { contentRange, body } = from === 0 ? { contentRange: 'bytes 1-2/3', body: BLOB } : rest(from);
    const range = contentRange === undefined ? {} : { 'content-range': contentRange };
    response.writeHead(200, { 'content-length': body.length, ...range }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, ranges };
}

describe('a source that answers 200 to the request for the rest of a blob', () => {
  it.each<[string, (from: number) => { readonly contentRange?: string; readonly body: Buffer }, number]>([
    [
      'with the rest alone',
      (from) => ({ contentRange: `bytes ${from}-${BLOB.length - 1}/${BLOB.length}`, body: BLOB.subarray(from) }),
      2,
    ],
    ['with everything, and says so', () => ({ contentRange: `bytes 0-${BLOB.length - 1}/*`, body: BLOB }), 2],
    ['with everything', () => ({ body: BLOB }), 2],
    ['with another part', () => ({ contentRange: 'bytes 1-2/3', body: BLOB.subarray(1, 3) }), 3],
  ])('%s is read to the end', async (_, rest, requests) => {
    const { host, ranges } = await source(rest);
    const target = await FakeRegistry.start();
    cleanups.push(() => target.close());
    const factory = new RegistryFactory({
      endpoints: [host, target.host].map((one) => ({ host: one, insecure: true })),
      hosts: { allow: [], deny: [] },
      env: {},
      retry: { baseDelay: 1, maxDelay: 5 },
    });
    cleanups.push(() => factory.close());
    const strangers = { resolve: async () => [] };
    const from = factory.client(host, strangers);
    const open = () => from.getBlob('app', blob);
    expect(await factory.client(target.host, strangers).uploadBlob('app', blob, open)).toBe('uploaded');
    expect(target.blob(digest, 'app')?.size).toBe(BLOB.length);
    expect(ranges).toEqual([undefined, `bytes=${CUT}-`, ...(requests === 3 ? [undefined] : [])]);
  });
});
