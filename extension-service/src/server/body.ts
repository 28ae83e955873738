import type { IncomingMessage } from 'node:http';
import { BodyShares, MAX_BUFFERED_BYTES } from './body-shares.js';

/**
 * kube-apiserver accepts objects of up to 3 MiB; an AdmissionRequest may contain two of them, and the JSON string of a
 * ClusterPolicy escapes it.
 */
export const MAX_BODY = 4 * 1024 * 1024;

export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
  constructor() {
    super(`the body is larger than ${MAX_BODY} bytes`);
  }
}

/** The sender closed its connection, or ran out of time. */
export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError';
  constructor() {
    super('the client disconnected during its request');
  }
}

/** The body arrived too slowly, or not at all. */
export class SlowBodyError extends Error {
  override readonly name = 'SlowBodyError';
  constructor() {
    super('the body did not arrive in time');
  }
}

/** The memory for unfinished requests is used up. */
export class BusyError extends Error {
  override readonly name = 'BusyError';
  constructor() {
    super('too many large requests at once; try again');
  }
}

const shares = new BodyShares(MAX_BUFFERED_BYTES);

/** Time limit for receiving a whole body. Callers already hold the whole Pod, so a slow body is a fault or an attack. */
const BODY_TIMEOUT_MS = 30_000;

/** Reads a whole request body; stops at a limit. */
export function readBody(request: IncomingMessage, timeout = BODY_TIMEOUT_MS): Promise<string> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length'] ?? 0) > MAX_BODY) {
      reject(new BodyTooLargeError());
      return;
    }
    const chunks: Buffer[] = [];
    let size = 0;
    const share = shares.open(request.socket.remoteAddress ?? '', () => stop(new BusyError()));
    const stop = (error?: Error): void => {
      clearTimeout(timer);
      share.close();
      request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
      if (error === undefined) return;
      chunks.length = 0;
      request.on('error', () => undefined);
      request.pause();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > MAX_BODY) {
        stop(new BodyTooLargeError());
        return;
      }
      chunks.push(chunk);
      share.add(chunk.length);
    };
    const onEnd = (): void => {
      stop();
      resolve(Buffer.concat(chunks).toString('utf8'));
    };
    const timer = setTimeout(() => stop(new SlowBodyError()), timeout);
    const onGone = (): void => stop(new ClientGoneError());
    request.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone);
  });
}
