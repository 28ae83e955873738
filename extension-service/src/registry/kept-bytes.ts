/** A run of bytes of a blob, as the pieces that they came in: added at the end, forgotten at the start. */
export class KeptBytes {
  readonly #pieces: Buffer[] = [];
  #start = 0;

  /** Offset in the blob of the first byte that is here. */
  get start(): number {
    return this.#start;
  }

  add(piece: Buffer): void {
    this.#pieces.push(piece);
  }

  /** The bytes from `offset`, which must be here, to before `end`, as far as one piece has them. */
  read(offset: number, end: number): Buffer {
    let at = this.#start;
    for (const piece of this.#pieces) {
      if (offset < at + piece.length) return piece.subarray(offset - at, Math.min(piece.length, end - at));
      at += piece.length;
    }
    return Buffer.alloc(0);
  }

  /** Forgets whole pieces before `offset`. */
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

  /** Forgets everything; the next piece begins at `offset`. */
  clear(offset: number): void {
    this.#pieces.length = 0;
    this.#start = offset;
  }
}
