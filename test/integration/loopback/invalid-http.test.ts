import { createHash } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';

/** Registries whose responses violate HTTP, but which clients written in Go understand. */

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const BLOB = Buffer.alloc(100_000, 'layer');
const blob = { mediaType: 'application/octet-stream', digest: digestOf(BLOB), size: BLOB.length };
const MANIFEST = Buffer.from(JSON.stringify({ schemaVersion: 2, config: blob, layers: [] }));
const mediaType = 'application/vnd.oci.image.manifest.v1+json';
const manifest = { mediaType, digest: digestOf(MANIFEST), bytes: MANIFEST };

/** The bytes of a response. */
type Writer = (lines: readonly string[], body: Buffer) => Buffer;

const withLength = (lineEnd: string, more: (body: Buffer) => readonly string[] = () => []): Writer => {
  return (lines, body) => {
    const head = [...lines, ...more(body), `Content-Length: ${body.length}`, '', ''].join(lineEnd);
    return Buffer.concat([Buffer.from(head, 'latin1'), body]);
  };
};
const withBoth = (order: (length: string, chunks: string) => readonly string[]): Writer => {
  return (lines, body) => {
    const both = order(`Content-Length: ${body.length}`, 'Transfer-Encoding: chunked');
    const head = Buffer.from([...lines, ...both, '', ''].join('\r\n'));
    const chunk = [Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')];
    return Buffer.concat([head, ...(body.length > 0 ? chunk : []), Buffer.from('0\r\n\r\n')]);
  };
};

function answerTo({ method, url = '' }: IncomingMessage): { readonly lines: readonly string[]; readonly body: Buffer } {
  const isManifest = url.includes('/manifests/');
  if (method === 'GET') {
    const type = `Content-Type: ${isManifest ? mediaType : 'application/octet-stream'}`;
    return { lines: ['HTTP/1.1 200 OK', type], body: isManifest ? MANIFEST : BLOB };
  }
  if (method === 'POST')
    return { lines: ['HTTP/1.1 202 OK', 'Location: /v2/a/blobs/uploads/1'], body: Buffer.alloc(0) };
  return { lines: ['HTTP/1.1 201 OK'], body: Buffer.from('{}') };
}

/** A registry with one manifest and one blob that writes each response with `write`. */
async function registry(write: Writer) {
  const received: string[] = [];
  const requests = new Map<Socket, number>();
  const server = http.createServer((request, response) => {
    const { socket, headers } = request;
    requests.set(socket, (requests.get(socket) ?? 0) + 1);
    void buffer(request).then((body) => {
      if (request.method === 'PUT') received.push(digestOf(body));
      const { lines, body: answer } = answerTo(request);
      response.socket?.write(write(lines, answer));
      if (headers.connection === 'close') response.socket?.end();
    });
  });
  server.on('connection', (socket) => socket.on('error', () => undefined));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const factory = new RegistryFactory({
    endpoints: [{ host, insecure: true }],
    hosts: { allow: [], deny: [] },
    env: {},
    retry: { baseDelay: 1, maxDelay: 5 },
  });
  cleanups.push(() => {
    factory.close();
    server.closeAllConnections();
    server.close();
  });
  const client = factory.client(host, { resolve: async () => [] });
  return { client, received, requests };
}

describe('a registry whose responses have', () => {
  it.each<[string, Writer]>([
    ['a length before chunks', withBoth((length, chunks) => [length, chunks])],
    ['a length after chunks', withBoth((length, chunks) => [chunks, length])],
    ['line breaks without a carriage return', withLength('\n')],
    ['a folded header', withLength('\r\n', () => ['X-Policy: a;', '  b'])],
    ['a control character in a header', withLength('\r\n', () => ['X-Trace: a\x01b'])],
  ])('%s is read and written, with one request per connection', async (_, write) => {
    const { client, received, requests } = await registry(write);
    expect((await client.getManifest('a', 'v1')).bytes).toEqual(MANIFEST);
    const open = () => client.getBlob('a', blob);
    expect(await client.uploadBlob('a', blob, open)).toBe('uploaded');
    await client.putManifest('a', 'v1', manifest);
    expect(received.slice(-2)).toEqual([blob.digest, manifest.digest]);
    // The first connections were strict.
    expect(Math.max(...[...requests.values()].slice(2))).toBe(1);
  });

  it('bare line feeds is understood as throttled if a rate limiter sends it', async () => {
    const lines = ['HTTP/1.1 429 Too Many Requests', 'Connection: close', 'Retry-After: 60', '', 'Too Many Requests.'];
    const { client } = await registry(() => Buffer.from(lines.join('\n')));
    await expect(client.getManifest('a', 'v1')).rejects.toMatchObject({ kind: 'throttled', retryAfter: 60_000 });
  });

  it('two different lengths is refused', async () => {
    const { client } = await registry(withLength('\r\n', (body) => [`Content-Length: ${body.length + 1}`]));
    await expect(client.getManifest('a', 'v1')).rejects.toThrow(/HPE_UNEXPECTED_CONTENT_LENGTH/);
  });
});
