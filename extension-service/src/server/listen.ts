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

/** The certificate of an HTTPS server, and the client certificates that it requests. */
export interface ServerTls extends TlsPair {
  /**
   * CA certificates as PEM. If there are any, callers are asked for a certificate, but none is rejected here: the route
   * decides.
   */
  readonly clientAuthorities?: readonly string[];
}

/**
 * Longer than the 90 s for which Go clients (Gatekeeper, Kyverno, kube-apiserver) keep an idle connection: if we closed
 * first, a request could collide with the close, and Go does not retry a POST.
 */
const KEEP_ALIVE = 95_000;

/**
 * Go clients open connections ahead and keep them unused as long as used ones. Node's own limits would treat such a
 * connection as a slow sender's, so they are above that, and `readBody` has its own limit.
 */
const LIMITS = { headersTimeout: KEEP_ALIVE + 1_000, requestTimeout: 0, connectionsCheckingInterval: 5_000 };
/** Time limit in milliseconds for the TLS handshake. */
const HANDSHAKE = 15_000;

/** HTTPS with `tls`, else plain HTTP. HTTP/1.1 only: our callers use nothing else here. */
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

/** The input of `setSecureContext`, which keeps no previous settings. */
export function secureContext({ cert, key, clientAuthorities = [] }: ServerTls): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.2', ...(clientAuthorities.length > 0 && { ca: [...clientAuthorities] }) };
}

export class ListenError extends Error {
  override readonly name = 'ListenError';
}

/** Parses a `--listen-address`: `:8443`, `127.0.0.1:8443`, `[::1]:8443`. Port 0 selects a free one. */
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

/** @throws ListenError with the flag to change if the port is in use or not permitted */
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

/** Stops accepting, lets answers in flight finish within `grace` milliseconds, then closes the rest. */
export async function closeServer(server: AnyServer, grace: number): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), grace);
  // Connections become idle as their answers are written; close() does not check them again in Node 20.
  const sweep = setInterval(() => server.closeIdleConnections(), 100);
  await closed;
  clearTimeout(timer);
  clearInterval(sweep);
}
