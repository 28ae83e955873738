import type { IncomingMessage } from 'node:http';

/** kube-apiserver takes objects of up to 3 MiB; an AdmissionRequest may hold two of them and the JSON string of a ClusterPolicy escapes it. */
export const MAX_BODY = 4 * 1024 * 1024;

export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
  constructor() {
    super(`the body is larger than ${MAX_BODY} bytes`);
  }
}

/** The sender closed its connection, or its time was over. */
export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError';
  constructor() {
    super('the client went away in the middle of its request');
  }
}

/** The body came too slowly, or not at all. */
export class SlowBodyError extends Error {
  override readonly name = 'SlowBodyError';
  constructor() {
    super('the body did not come in time');
  }
}

/** Too many bytes of unfinished requests are held already. */
export class BusyError extends Error {
  override readonly name = 'BusyError';
  constructor() {
    super('too many large requests at once; try again');
  }
}

/**
 * Bytes of all requests that are being read, together. Thousands of ordinary ones fit; a few hundred connections that send
 * most of a large body and then wait would take the process's memory.
 */
const MAX_BUFFERED_BYTES = 64 * 1024 * 1024;
let held = 0;

/** Time limit for receiving a whole body. Callers already hold the Pod, so a slow body is a fault or an attack. */
const BODY_TIMEOUT_MS = 30_000;

/** Reads a whole request body; what is over a limit is not read on. */
export function readBody(request: IncomingMessage, timeout = BODY_TIMEOUT_MS): Promise<string> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length'] ?? 0) > MAX_BODY) {
      reject(new BodyTooLargeError());
      return;
    }
    const chunks: Buffer[] = [];
    let size = 0;
    const stop = (error?: Error): void => {
      clearTimeout(timer);
      held -= size;
      size = 0;
      request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
      if (error === undefined) return;
      chunks.length = 0;
      request.on('error', () => undefined);
      request.pause();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      held += chunk.length;
      if (size > MAX_BODY) stop(new BodyTooLargeError());
      else if (held > MAX_BUFFERED_BYTES) stop(new BusyError());
      else chunks.push(chunk);
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
