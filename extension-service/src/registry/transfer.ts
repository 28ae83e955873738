import { createHash } from 'node:crypto';
import type { ClientRequest } from 'node:http';
import type { Readable } from 'node:stream';
import type { BodyWriter } from './transport/http.js';
import type { Descriptor } from './types.js';

/** The source's bytes are not what the descriptor says. */
export class ContentMismatchError extends Error {
  override readonly name = 'ContentMismatchError';
}

/** The source stopped sending. */
export class SourceBrokenError extends Error {
  override readonly name = 'SourceBrokenError';
}

/**
 * Pipes a blob into an upload, hashing it on the way. Nothing is kept: a slow target pauses the source. The last piece is
 * sent only once size and digest are right, so a lying source can never complete an upload, whether or not the target
 * checks. `onBytes` gets the total so far.
 */
export function pipeVerified(source: Readable, descriptor: Descriptor, onBytes?: (total: number) => void): BodyWriter {
  return (request) => {
    const { digest, size } = descriptor;
    const algorithm = digest.slice(0, digest.indexOf(':'));
    const hash = createHash(algorithm);
    let received = 0;
    const fail = (error: Error): void => {
      source.destroy();
      request.destroy(error);
    };
    const check = (): Error | undefined => {
      const found = `${algorithm}:${hash.digest('hex')}`;
      return found === digest ? undefined : new ContentMismatchError(`the source sent ${found} for ${digest}`);
    };
    const finish = (piece?: Buffer): void => {
      const wrong = check();
      if (wrong === undefined) endRequest(request, piece);
      else fail(wrong);
    };
    request.once('close', () => {
      if (!source.readableEnded) source.destroy();
    });
    source.on('error', (error) => {
      if (received < size || size === 0)
        fail(new SourceBrokenError(`the body broke off: ${error.message}`, { cause: error }));
    });
    source.on('data', (piece: Buffer) => {
      received += piece.length;
      if (received > size)
        return fail(new ContentMismatchError(`the source sent more than the ${size} bytes of ${digest}`));
      hash.update(piece);
      if (received === size) finish(piece);
      else if (!request.write(piece)) {
        source.pause();
        request.once('drain', () => source.resume());
      }
      onBytes?.(received);
    });
    source.on('end', () => {
      if (size === 0 && received === 0) finish();
      else if (received < size) {
        fail(new ContentMismatchError(`the source sent ${received} of the ${size} bytes of ${digest}`));
      }
    });
  };
}

function endRequest(request: ClientRequest, piece: Buffer | undefined): void {
  if (piece === undefined) request.end();
  else request.end(piece);
}
