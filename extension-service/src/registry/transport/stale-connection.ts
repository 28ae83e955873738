import type { Agent, ClientRequest } from 'node:http';

/** Connections that are given up for one request because the server had closed them. */
export const MAX_STALE_CONNECTIONS = 3;

const CLOSED: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

/**
 * Whether a request met a connection that the server had closed meanwhile: it was kept from an earlier request, and no
 * answer came. The server has not seen the request, so that it goes again at once (RFC 9112, section 9.3.1).
 */
export function hitClosedConnection(request: ClientRequest, error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException;
  return request.reusedSocket && CLOSED.has(code);
}

/** Ends the connections to an origin that wait for a request: most likely the server has closed all of them. */
export function endIdleConnections(agent: Agent, host: string, port: number): void {
  for (const [name, sockets = []] of Object.entries(agent.freeSockets)) {
    if (name.startsWith(`${host}:${port}:`)) for (const socket of [...sockets]) socket.destroy();
  }
}
