import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';

/** How long to wait for an answer on a connection that accepts no more bytes, in milliseconds. */
const EARLY_ANSWER_MS = 1_000;

const CONNECTION_LOST_CODES: ReadonlySet<string> = new Set(['EPIPE', 'ECONNRESET', 'ECONNABORTED']);

type WriteCallback = (error?: Error | null) => void;

const prepared = new WeakSet<Socket>();

/**
 * Reads an answer that arrives before the end of the request's body. A server that rejects a body (413, 401) answers
 * and closes; the failing write would then destroy the socket with the unread answer. The failure is held back until
 * the connection ends, for a second at most, while reading continues.
 */
export function readEarlyAnswer(request: ClientRequest): void {
  request.once('socket', (socket) => {
    if (prepared.has(socket)) return;
    prepared.add(socket);
    const write = socket._write.bind(socket);
    socket._write = (chunk, encoding, callback) => write(chunk, encoding, delayedCallback(socket, callback));
    const writev = socket._writev?.bind(socket);
    if (writev !== undefined) socket._writev = (chunks, callback) => writev(chunks, delayedCallback(socket, callback));
  });
}

function delayedCallback(socket: Socket, callback: WriteCallback): WriteCallback {
  return (error) => {
    const { code = '' } = (error ?? {}) as NodeJS.ErrnoException;
    if (!CONNECTION_LOST_CODES.has(code) || socket.destroyed) return callback(error);
    const report = (): void => {
      clearTimeout(timer);
      socket.off('close', report);
      callback(error);
    };
    const timer = setTimeout(report, EARLY_ANSWER_MS);
    socket.once('close', report);
  };
}
