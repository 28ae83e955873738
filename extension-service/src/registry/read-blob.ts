import { algorithmOf, digestOf } from './digests.js';
import type { ImageStore } from './image-store.js';
import type { Descriptor } from './types.js';

/**
 * Reads a small blob; the caller limits its size.
 *
 * @returns undefined if the bytes do not match the descriptor
 * @throws RegistryError if it cannot be read
 */
export async function readBlob(
  client: Pick<ImageStore, 'getBlob'>,
  repository: string,
  descriptor: Descriptor,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const { stream } = await client.getBlob(repository, descriptor, { signal });
  const pieces: Buffer[] = [];
  let size = 0;
  // Leaving the loop destroys the stream.
  for await (const piece of stream as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > descriptor.size) return undefined;
    pieces.push(piece);
  }
  const bytes = Buffer.concat(pieces);
  return digestOf(bytes, algorithmOf(descriptor.digest)) === descriptor.digest ? bytes : undefined;
}
