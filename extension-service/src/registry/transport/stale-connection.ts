import type { Agent, ClientRequest } from 'node:http';

/** Maximum stale connections to replace for one request. */
export const MAX_STALE_CONNECTIONS = 3;

const CLOSED_CODES: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

/**
 * Whether a request used a connection that the server had closed in the meantime: it was kept from an earlier request,
 * and no answer arrived. The server has not seen the request, so it is sent again at once (RFC 9112, section 9.3.1).
 */
export function hitClosedConnection(request: ClientRequest, error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException;
  return request.reusedSocket && CLOSED_CODES.has(code);
}

/** Closes the idle connections to an origin: most likely the server has closed all of them. */
export function endIdleConnections(agent: Agent, host: string, port: number): void {
  for (const [name, sockets = []] of Object.entries(agent.freeSockets)) {
    if (name.startsWith(`${host}:${port}:`)) for (const socket of [...sockets]) socket.destroy();
  }
}
