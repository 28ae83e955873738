import { BodyRate, MIN_BODY_RATE } from './body-rate.js';
import type { ClientRequest, IncomingMessage } from 'node:http';

export interface Timeouts {
  /** Until TCP (and TLS, and the proxy's CONNECT) are established, milliseconds. */
  readonly connect: number;
  /** From the last byte of the request to the answer's headers. */
  readonly headers: number;
  /**
   * The same for blobs. Some registries store a whole layer in another place before they answer its upload, and some
   * proxies scan a whole layer before they pass it on. @default headers
   */
  readonly transfer?: number;
  /** Between two pieces of a body, in either direction, while we wait for the peer. */
  readonly idle: number;
  /** Time of waiting for the peer of a body over which its minimum rate is measured, see {@link MIN_BODY_RATE}. */
  readonly slow: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = {
  connect: 10_000,
  headers: 60_000,
  transfer: 600_000,
  idle: 30_000,
  slow: 60_000,
};

/**
 * Aborts an exchange whose peer has stopped. One timer per exchange checks existing counters, so a body needs no timer
 * per piece; a pause that the other side of our own pipe caused does not count as the peer's silence. Failures before
 * the answer are passed to `fail`, because a request without a socket, for example while a proxy ignores the CONNECT,
 * emits no event when it is destroyed.
 */
export function watch(
  request: ClientRequest,
  timeouts: Timeouts,
  isTransfer: boolean,
  fail: (error: Error) => void,
): void {
  const headers = isTransfer ? (timeouts.transfer ?? timeouts.headers) : timeouts.headers;
  let since = Date.now();
  let progress = 0;
  let phase: Phase = 'connect';
  let connected = false;
  let response: IncomingMessage | undefined;
  let rate: BodyRate | undefined;
  request.on('socket', (socket) => {
    const event = 'encrypted' in socket ? 'secureConnect' : 'connect';
    // Over a proxy the connection is already established, but TLS inside it is not.
    const securing = 'secureConnecting' in socket && socket.secureConnecting === true;
    if (socket.connecting || securing) socket.once(event, () => (connected = true));
    else connected = true;
  });
  request.on('response', (message: IncomingMessage) => (response = message));

  const look = (): void => {
    const next = currentPhase(request, response, connected);
    const now = Date.now();
    if (next.phase !== phase) rate = undefined;
    if (next.phase === 'body' || next.phase === 'upload') {
      rate ??= new BodyRate(timeouts.slow, 2 * step, next.progress, now);
      if (rate.isTooSlow(next, now)) {
        return end(tooSlow(next.phase, timeouts.slow));
      }
    }
    if (next.phase !== phase || next.progress !== progress || next.waiting === false) {
      phase = next.phase;
      progress = next.progress;
      since = now;
      return;
    }
    const limit = phase === 'connect' ? timeouts.connect : phase === 'headers' ? headers : timeouts.idle;
    if (now - since < limit) return;
    end(idleError(phase, limit));
  };
  const end = (error: TimeoutError): void => {
    clearInterval(timer);
    if (response === undefined) return fail(error);
    // After the end of a body, only the request still holds the connection: its peer may not read the rest of it.
    if (response.readableEnded) request.destroy(error);
    else response.destroy(error);
  };
  const step = Math.max(
    5,
    Math.min(1_000, Math.min(timeouts.connect, timeouts.headers, timeouts.idle, timeouts.slow) / 4),
  );
  const timer = setInterval(look, step);
  timer.unref();
  request.on('close', () => clearInterval(timer));
}

type Phase = 'connect' | 'headers' | 'upload' | 'body';

function currentPhase(
  request: ClientRequest,
  response: IncomingMessage | undefined,
  connected: boolean,
): { readonly phase: Phase; readonly progress: number; readonly waiting: boolean } {
  if (response !== undefined) {
    // Paused, or with unread bytes: the reader is slow, not the peer.
    const reading = response.readableFlowing === true || response.listenerCount('readable') > 0;
    const waiting = reading && response.readableLength === 0;
    return { phase: 'body', progress: request.socket?.bytesRead ?? 0, waiting };
  }
  if (!connected) return { phase: 'connect', progress: 0, waiting: true };
  const sent = request.socket?.bytesWritten ?? 0;
  const queued = request.writableLength > 0 || (request.socket?.writableLength ?? 0) > 0;
  if (request.writableEnded && !queued) return { phase: 'headers', progress: sent, waiting: true };
  return { phase: 'upload', progress: sent - (request.socket?.writableLength ?? 0), waiting: queued };
}

export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
  readonly code = 'ETIMEDOUT';
}

const IDLE_MESSAGES: Readonly<Record<Phase, string>> = {
  connect: 'no connection',
  headers: 'no response',
  upload: 'the upload stalled',
  body: 'the body stalled',
};

function idleError(phase: Phase, limit: number): TimeoutError {
  return new TimeoutError(`${IDLE_MESSAGES[phase]} for ${limit} ms`);
}

function tooSlow(phase: Phase, time: number): TimeoutError {
  const what = phase === 'upload' ? 'the upload was accepted' : 'the body arrived';
  return new TimeoutError(`${what} at less than ${MIN_BODY_RATE} bytes a second for ${time} ms`);
}
