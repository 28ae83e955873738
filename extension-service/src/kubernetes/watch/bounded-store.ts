/** The limits for one kind of object. */
export interface StoreBound<T> {
  /** Approximate bytes of a value. */
  readonly size: (value: T) => number;
  readonly maxItems: number;
}

export interface StoredEntry<T> {
  readonly version: string;
  readonly value: T;
}

/** Values by key, up to a limit. */
export class BoundedStore<T> {
  readonly #held = new Map<string, StoredEntry<T>>();
  #size = 0;
  #complete = true;

  constructor(private readonly bound?: StoreBound<T>) {}

  /** Whether there was room for every value. */
  get complete(): boolean {
    return this.#complete;
  }

  get(key: string): StoredEntry<T> | undefined {
    return this.#held.get(key);
  }

  /** @returns false if there is no room; the key's previous value is removed in any case */
  put(key: string, held: StoredEntry<T>): boolean {
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

  #sizeOf(key: string, { value }: StoredEntry<T>): number {
    return this.bound === undefined ? 0 : key.length + this.bound.size(value);
  }
}
