import { createHash, type Hash } from 'node:crypto';

/** Content that may be too large for memory. Any range can be read in order, any number of times. */
export interface Content {
  readonly size: number;
  readonly digest: string;
  /** Returns the bytes from `start` (inclusive) to `end` (exclusive), in pieces. */
  chunks(start: number, end: number): Iterable<Buffer>;
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function sha512(bytes: Uint8Array): string {
  return `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
}

/** Returns content from pieces in memory, as they were received. */
export function chunkedContent(pieces: readonly Buffer[], size: number, digest: string): Content {
  return {
    size,
    digest,
    *chunks(start, end) {
      let at = 0;
      for (const piece of pieces) {
        const from = Math.max(start - at, 0);
        const to = Math.min(end - at, piece.length);
        if (from < to) yield piece.subarray(from, to);
        at += piece.length;
        if (at >= end) return;
      }
    },
  };
}

export function bytesContent(bytes: Uint8Array): Content {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return chunkedContent([buffer], buffer.length, sha256(buffer));
}

/** Deterministic noise from a 32-bit xorshift. It does not compress, and equal seeds give equal bytes. */
export function noise(length: number, seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state >>> 0;
  }
  return Buffer.from(words.buffer, 0, length);
}

const BLOCK = 1024 * 1024;

/** A blob of any size that needs at most 1 MiB of memory: it repeats one block of noise. */
export function patternContent(size: number, seed: number): Content {
  const block = noise(Math.min(size, BLOCK), seed);
  function* chunks(start: number, end: number): Iterable<Buffer> {
    for (let at = start; at < end;) {
      const offset = at % BLOCK;
      const length = Math.min(BLOCK - offset, end - at);
      yield block.subarray(offset, offset + length);
      at += length;
    }
  }
  const hash = createHash('sha256');
  for (const piece of chunks(0, size)) hash.update(piece);
  return { size, digest: `sha256:${hash.digest('hex')}`, chunks };
}

/** A blob whose bytes were hashed and discarded, for measurements of memory. Reading it is an error. */
function discardedContent(size: number, digest: string): Content {
  return {
    size,
    digest,
    chunks() {
      throw new Error(`${digest} was pushed to a fake registry that keeps no blobs`);
    },
  };
}

/** Collects and hashes an upload. With `keep` false, it keeps only the hash and the size. */
export class ContentSink {
  readonly #hash: Hash = createHash('sha256');
  readonly #pieces: Buffer[] = [];
  readonly #keep: boolean;
  size = 0;

  constructor(keep: boolean) {
    this.#keep = keep;
  }

  write(piece: Buffer): void {
    this.#hash.update(piece);
    this.size += piece.length;
    if (this.#keep) this.#pieces.push(piece);
  }

  finish(): Content {
    const digest = `sha256:${this.#hash.digest('hex')}`;
    return this.#keep ? chunkedContent(this.#pieces, this.size, digest) : discardedContent(this.size, digest);
  }
}
