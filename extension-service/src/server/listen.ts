import { createServer as createHttpServer } from 'node:http';
import type { RequestListener, Server as HttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { SecureContextOptions } from 'node:tls';

export type AnyServer = HttpServer | HttpsServer;

export interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

/** How an HTTPS server presents itself, and whose certificates it asks callers for. */
export interface ServerTls extends TlsPair {
  /** PEM texts of authorities. With any, callers are asked, and none is turned away: that is for their route. */
  readonly clientAuthorities?: readonly string[];
}

/**
 * Longer than the 90 s that Go clients (Gatekeeper, Kyverno, kube-apiserver) keep an idle connection: when we closed
 * first, a request could meet the closing, and Go does not repeat a POST.
 */
const KEEP_ALIVE = 95_000;

/**
 * Go clients open connections ahead and keep them unused for as long as used ones. Node's own limits would close such a
 * connection like a slow sender's; so they begin above that, and `readBody` has a time of its own.
 */
const LIMITS = { headersTimeout: KEEP_ALIVE + 1_000, requestTimeout: 0, connectionsCheckingInterval: 5_000 };
/** Milliseconds for TLS: a caller that connects wants to talk. */
const HANDSHAKE = 15_000;

/** With `tls` HTTPS, else plain HTTP. HTTP/1.1 only: what calls us speaks nothing else here. */
export function createServer(listener: RequestListener, tls?: ServerTls): AnyServer {
  const server =
    tls === undefined
      ? createHttpServer(LIMITS, listener)
      : createHttpsServer(
          {
            ...LIMITS,
            ...secureContext(tls),
            requestCert: (tls.clientAuthorities?.length ?? 0) > 0,
            rejectUnauthorized: false,
            handshakeTimeout: HANDSHAKE,
          },
          listener,
        );
  server.keepAliveTimeout = KEEP_ALIVE;
  return server;
}

/** What `setSecureContext` takes, which keeps nothing of what was before. */
export function secureContext({ cert, key, clientAuthorities = [] }: ServerTls): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.2', ...(clientAuthorities.length > 0 && { ca: [...clientAuthorities] }) };
}

export class ListenError extends Error {
  override readonly name = 'ListenError';
}

/** Where a `--listen-address` says: `:8443`, `127.0.0.1:8443`, `[::1]:8443`. Port 0 takes a free one. */
export function parseListenAddress(text: string, flag: string): { host?: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new ListenError(
      `${flag} ${JSON.stringify(text)}: expected HOST:PORT or :PORT, for example :8443 or 127.0.0.1:8443`,
    );
  }
  const host = match[1] ?? match[2];
  return { port, ...(host !== undefined && host !== '' && { host }) };
}

/** @throws ListenError saying which flag to change when the port is taken or may not be opened */
export async function listen(server: AnyServer, address: string, flag: string): Promise<AddressInfo> {
  const options = parseListenAddress(address, flag);
  await new Promise<void>((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => reject(listenError(error, address, flag));
    server.once('error', onError);
    server.listen(options, () => {
      server.off('error', onError);
      resolve();
    });
  });
  return server.address() as AddressInfo;
}

function listenError(error: NodeJS.ErrnoException, address: string, flag: string): ListenError {
  switch (error.code) {
    case 'EADDRINUSE':
      return new ListenError(`${flag} ${address}: the port is in use; stop the other program or choose another port`);
    case 'EACCES':
      return new ListenError(`${flag} ${address}: not allowed to open this port; choose one above 1023`);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new ListenError(`${flag} ${address}: this machine does not have this address`);
    default:
      return new ListenError(`${flag} ${address}: ${error.message}`);
  }
}

/** Stops accepting, lets answers in flight end within `grace` milliseconds, then closes what is left. */
export async function closeServer(server: AnyServer, grace: number): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), grace);
  // Connections become idle as their answers are written; close() does not come back to those in Node 20.
  const sweep = setInterval(() => server.closeIdleConnections(), 100);
  await closed;
  clearTimeout(timer);
  clearInterval(sweep);
}
