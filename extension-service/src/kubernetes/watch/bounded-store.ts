/** The most that is kept of one kind of object. */
export interface StoreBound<T> {
  /** About the bytes that a value takes. */
  readonly size: (value: T) => number;
  readonly maxItems: number;
}

export interface Held<T> {
  readonly version: string;
  readonly value: T;
}

/** Values by key, as many as there is room for. */
export class BoundedStore<T> {
  readonly #held = new Map<string, Held<T>>();
  #size = 0;
  #complete = true;

  constructor(private readonly bound?: StoreBound<T>) {}

  /** Whether there has been room for all. */
  get complete(): boolean {
    return this.#complete;
  }

  get(key: string): Held<T> | undefined {
    return this.#held.get(key);
  }

  /** @returns false when there is no room for it; what had the key before is gone all the same */
  put(key: string, held: Held<T>): boolean {
    this.delete(key);
    const size = this.#sizeOf(key, held);
    if (this.bound !== undefined && this.#size + size > this.bound.maxItems) {
      this.#complete = false;
      return false;
    }
    this.#size += size;
    this.#held.set(key, held);
    return true;
  }

  delete(key: string): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    this.#held.delete(key);
    this.#size -= this.#sizeOf(key, held);
  }

  #sizeOf(key: string, { value }: Held<T>): number {
    return this.bound === undefined ? 0 : key.length + this.bound.size(value);
  }
}
