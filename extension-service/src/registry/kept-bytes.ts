/** A range of bytes of a blob, in its original pieces: added at the end, dropped at the start. */
export class KeptBytes {
  readonly #pieces: Buffer[] = [];
  #start = 0;

  /** Offset in the blob of the first available byte. */
  get start(): number {
    return this.#start;
  }

  add(piece: Buffer): void {
    this.#pieces.push(piece);
  }

  /** The bytes from `offset`, which must be available, up to `end`, as far as one piece contains them. */
  read(offset: number, end: number): Buffer {
    let at = this.#start;
    for (const piece of this.#pieces) {
      if (offset < at + piece.length) return piece.subarray(offset - at, Math.min(piece.length, end - at));
      at += piece.length;
    }
    return Buffer.alloc(0);
  }

  /** Drops whole pieces before `offset`. */
  trim(offset: number): void {
    for (
      let [first] = this.#pieces;
      first !== undefined && this.#start + first.length <= offset;
      [first] = this.#pieces
    ) {
      this.#start += first.length;
      this.#pieces.shift();
    }
  }

  /** Drops everything; the next piece begins at `offset`. */
  clear(offset: number): void {
    this.#pieces.length = 0;
    this.#start = offset;
  }
}
