/** Maximum bytes of one read. */
const SLAB_BYTES = 256 * 1024;
/** A slab with less free memory than this is full, because a read into it would be too small. */
const MIN_READ_BYTES = 64 * 1024;
/** Maximum slabs to keep for later bodies. */
const MAX_UNUSED_SLABS = 8;

const unused: Slab[] = [];

/** Memory that the reads of one socket fill in turn. It is reused once all of its pieces are released. */
export class Slab {
  readonly #memory = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #filled = 0;
  #held = 0;
  #isRetired = false;

  static take(): Slab {
    const slab = unused.pop() ?? new Slab();
    slab.#filled = 0;
    slab.#isRetired = false;
    return slab;
  }

  /** The part that is not filled yet. */
  get rest(): Buffer {
    return this.#memory.subarray(this.#filled);
  }

  get isFull(): boolean {
    return SLAB_BYTES - this.#filled < MIN_READ_BYTES;
  }

  has(bytes: Buffer): boolean {
    return bytes.buffer === this.#memory.buffer;
  }

  /** Protects the next `length` bytes from being overwritten. @returns a function that releases them */
  hold(length: number): () => void {
    this.#filled += length;
    this.#held += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#held -= 1;
      this.#reuse();
    };
  }

  /** No more bytes are read into the slab. */
  retire(): void {
    this.#isRetired = true;
    this.#reuse();
  }

  #reuse(): void {
    if (this.#isRetired && this.#held === 0 && unused.length < MAX_UNUSED_SLABS) unused.push(this);
  }
}
