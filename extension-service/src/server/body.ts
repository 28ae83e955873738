import type { IncomingMessage } from 'node:http';

/** kube-apiserver takes objects of up to 3 MiB; an AdmissionRequest may hold two of them and the JSON string of a ClusterPolicy escapes it. */
export const MAX_BODY = 4 * 1024 * 1024;

export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
  constructor() {
    super(`the body is larger than ${MAX_BODY} bytes`);
  }
}

/** Reads a whole request body; what is over the limit is not read on. */
export function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length'] ?? 0) > MAX_BODY) {
      reject(new BodyTooLargeError());
      return;
    }
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_BODY) {
        request.pause();
        reject(new BodyTooLargeError());
        return;
      }
      chunks.push(chunk);
    });
    request.on('end', () => {
      const [only] = chunks;
      resolve(
        chunks.length === 1 && only !== undefined
          ? only.toString('utf8')
          : Buffer.concat(chunks, size).toString('utf8'),
      );
    });
    request.on('error', reject);
    request.on('aborted', () => reject(new Error('the client went away')));
  });
}
