import { createServer, type RequestListener } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { anonymousKeychain } from '../../../extension-service/src/credentials/keychain.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';

/** The client must stop reading when the error responses of a registry have bodies that do not end. */

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Serving {
  readonly host: string;
  /** Resolves with the number of bytes read from the first body when its connection ends. */
  readonly taken: Promise<number>;
}

/** Responds with `status` and an endless body, in pieces of 16 KiB or in single bytes with pauses. */
async function serveEndlessBody(status: number, drips: boolean): Promise<Serving> {
  let done: (bytes: number) => void;
  const taken = new Promise<number>((resolve) => (done = resolve));
  const listener: RequestListener = (request, response) => {
    request.resume();
    response.writeHead(status, { location: '/elsewhere' });
    const piece = Buffer.alloc(drips ? 1 : 16 * 1024, 'x');
    const timer = setInterval(() => response.write(piece), drips ? 100 : 1);
    response.on('close', () => {
      clearInterval(timer);
      done(response.socket?.bytesWritten ?? request.socket.bytesWritten);
    });
  };
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, taken };
}

/** Maximum of bytes that socket buffers may hold. It is generous, but far below the size of an endless body. */
const MAX_RECEIVED_BYTES = 16 * 1024 * 1024;

describe('a body that does not end', () => {
  it.each([
    ['of a refusal', 403, false],
    ['of a refusal that drips', 403, true],
    ['of a redirect', 307, false],
    ['of a redirect that drips', 307, true],
    ['of a missing manifest', 404, false],
    ['of a server error that drips', 500, true],
  ] as const)('%s ends with its connection', async (_, status, drips) => {
    const { host, taken } = await serveEndlessBody(status, drips);
    const factory = new RegistryFactory({
      endpoints: [{ host, insecure: true }],
      hosts: { allow: [], deny: [] },
      env: {},
      retry: { attempts: 1 },
    });
    cleanups.push(() => factory.close());
    await factory
      .client(host, anonymousKeychain)
      .getManifest('app', 'latest')
      .catch(() => undefined);
    expect(await taken).toBeLessThan(MAX_RECEIVED_BYTES);
  });
});
