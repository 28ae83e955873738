import { createHash, type Hash } from 'node:crypto';

/** Bytes that may be too many to hold: read in order, any range, as often as wanted. */
export interface Content {
  readonly size: number;
  readonly digest: string;
  /** The bytes from `start` to before `end`, in pieces. */
  chunks(start: number, end: number): Iterable<Buffer>;
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function sha512(bytes: Uint8Array): string {
  return `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
}

/** Pieces held in memory, as they came off the wire. */
export function piecesContent(pieces: readonly Buffer[], size: number, digest: string): Content {
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
  return piecesContent([buffer], buffer.length, sha256(buffer));
}

/** Deterministic noise from a 32-bit xorshift; it does not compress, and equal seeds give equal bytes. */
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

/** A blob of any size that costs 1 MiB at most: one block of noise, over and over. */
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

/** A blob whose bytes were hashed and discarded; reading it is an error. For measuring memory. */
function discardedContent(size: number, digest: string): Content {
  return {
    size,
    digest,
    chunks() {
      throw new Error(`${digest} was pushed to a fake registry that keeps no blobs`);
    },
  };
}

/** Collects what is uploaded, hashing on the way; with `keep` false only the hash and the size remain. */
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
    return this.#keep ? piecesContent(this.#pieces, this.size, digest) : discardedContent(this.size, digest);
  }
}
