import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { makeCertificates } from '../../fakes/certificates.js';
import { READ_BUFFERS, readPieces } from '../../../extension-service/src/registry/transport/read-buffers.js';

/** Bodies whose bytes bypass the copies of Node's parser. The parser still frames them and keeps the connection. */

const BODY = randomBytes(6 * 1024 * 1024);

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** Opens one connection that reads as the copier's connections do. */
async function serve(
  write: (socket: net.Socket) => void,
  over: 'plain' | 'tls' = 'plain',
): Promise<() => Promise<http.IncomingMessage>> {
  const accept = (socket: net.Socket): void => {
    socket.on('error', () => undefined);
    socket.on('data', () => write(socket));
  };
  const { client, server } =
    over === 'plain'
      ? { client: http, server: net.createServer(accept) }
      : { client: https, server: tls.createServer(await makeCertificates({ hosts: ['127.0.0.1'] }), accept) };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const options = {
    keepAlive: true,
    maxSockets: 1,
    onread: READ_BUFFERS,
    rejectUnauthorized: false,
  } as https.AgentOptions;
  const agent = new client.Agent(options);
  cleanups.push(
    () => agent.destroy(),
    () => server.close(),
  );
  const { port } = server.address() as AddressInfo;
  return async () => {
    const request = client.get({ host: '127.0.0.1', port, agent });
    request.on('error', () => undefined);
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    return response;
  };
}

const answer = (body: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`), body]);

function sha256(...pieces: readonly Buffer[]): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

describe('pieces of a body', () => {
  it.each(['plain', 'tls'] as const)('stay as they are until they are released, without a copy (%s)', async (over) => {
    const get = await serve((socket) => socket.write(answer(BODY)), over);
    const response = await get();
    const pieces: Buffer[] = [];
    let copied = 0;
    response.on('data', (piece: Buffer) => (copied += piece.length));
    readPieces(response, BODY.length, (piece) => pieces.push(piece));
    await once(response, 'end');
    expect(sha256(...pieces)).toBe(sha256(BODY));
    // Bytes that arrived before the reader are copies. The rest was read in place.
    expect(copied).toBeLessThan(BODY.length / 2);
  });

  it('release the connection for the next request, whose body is complete as well', async () => {
    let connections = 0;
    const seen = new WeakSet<net.Socket>();
    const get = await serve((socket) => {
      if (!seen.has(socket)) connections += 1;
      seen.add(socket);
      socket.write(answer(BODY));
    });
    for (let round = 0; round < 4; round += 1) {
      const response = await get();
      const hash = createHash('sha256');
      // The test releases the pieces at once, so that their memory is reused.
      readPieces(response, BODY.length, (piece, release) => {
        hash.update(piece);
        release();
      });
      await once(response, 'end');
      expect(hash.digest('hex')).toBe(sha256(BODY));
      await setImmediate();
    }
    expect(connections).toBe(1);
  });

  it('are delivered in order when the reader pauses after each one', async () => {
    const get = await serve((socket) => socket.write(answer(BODY)));
    const response = await get();
    const hash = createHash('sha256');
    let whilePaused = 0;
    readPieces(response, BODY.length, (piece, release) => {
      if (response.isPaused()) whilePaused += 1;
      response.pause();
      hash.update(piece);
      release();
      setTimeout(() => response.resume(), 1);
    });
    await once(response, 'end');
    expect(hash.digest('hex')).toBe(sha256(BODY));
    expect(whilePaused).toBe(0);
  });

  it('end with the connection when the body is cut off', async () => {
    const get = await serve((socket) => socket.end(answer(BODY).subarray(0, BODY.length / 2)));
    const response = await get();
    let received = 0;
    readPieces(response, BODY.length, (piece) => (received += piece.length));
    const [error] = (await once(response, 'error').catch((reason: unknown) => [reason])) as [Error];
    expect(error.message).toContain('aborted');
    expect(received).toBeLessThan(BODY.length);
  });

  it('end with the body, without the bytes that a server sends after it', async () => {
    const get = await serve((socket) => socket.write(Buffer.concat([answer(BODY), Buffer.alloc(4096, 'x')])));
    const response = await get();
    response.on('error', () => undefined);
    const pieces: Buffer[] = [];
    readPieces(response, BODY.length, (piece) => pieces.push(piece));
    await once(response, 'close');
    expect(sha256(...pieces)).toBe(sha256(BODY));
  });
});
