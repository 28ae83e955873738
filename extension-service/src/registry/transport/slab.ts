/** Bytes that one read may bring. */
const SLAB_BYTES = 256 * 1024;
/** A read into less than this would bring too little. */
const MIN_READ_BYTES = 64 * 1024;
/** Slabs that are kept for later bodies. */
const MAX_UNUSED = 8;

const unused: Slab[] = [];

/** Memory that reads of one socket fill one after the other, and that is used again once all of its pieces are released. */
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

  /** Keeps the next `length` bytes as they are. @returns gives them back, once */
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

  /** Nothing more is read into it. */
  retire(): void {
    this.#isRetired = true;
    this.#reuse();
  }

  #reuse(): void {
    if (this.#isRetired && this.#held === 0 && unused.length < MAX_UNUSED) unused.push(this);
  }
}
