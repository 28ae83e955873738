import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';

/** Maximum bytes to read from an unused body: enough for any error document, so that its socket can be reused. */
const DISCARD_BYTES = 64 * 1024;
const DISCARD_MS = 1_000;

/**
 * Reads the rest of an answer, so that its socket can be reused. If a body does not end within 64 KiB and a second, its
 * connection is closed: a registry must not keep us reading an unused body.
 */
export function discard(response: IncomingMessage): void {
  response.on('error', () => undefined);
  let left = DISCARD_BYTES;
  response.on('data', (piece: Buffer) => {
    left -= piece.length;
    if (left < 0) response.destroy();
  });
  endInTime(response);
  response.resume();
}

/**
 * At most 64 KiB of an error's decoded body, as far as it arrives within a second; for a longer one the connection is
 * closed.
 */
export async function readErrorBody(response: IncomingMessage, decoded: () => Readable): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  endInTime(response);
  try {
    for await (const piece of decoded() as AsyncIterable<Buffer>) {
      pieces.push(piece.subarray(0, DISCARD_BYTES - size));
      size += piece.length;
      if (size >= DISCARD_BYTES) break;
    }
  } catch {
    // The status says enough.
  }
  return Buffer.concat(pieces).toString('utf8');
}

function endInTime(response: IncomingMessage): void {
  const timer = setTimeout(() => response.destroy(), DISCARD_MS);
  timer.unref();
  response.once('close', () => clearTimeout(timer));
}
