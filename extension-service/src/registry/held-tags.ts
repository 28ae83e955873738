const MAX_TRIES = 3;
const MAX_HOLD_MS = 10 * 60_000;
const MAX_KNOWN = 10_000;

/**
 * Tags that wait for signatures that cannot be read for a temporary reason: an image without its signatures fails the
 * policies that verify them. After three tries, or ten minutes, the image is published without them.
 */
export class HeldTags {
  readonly #held = new Map<string, { readonly since: number; tries: number }>();

  constructor(private readonly now: () => number) {}

  /**
   * Another try failed.
   * @returns the number of the try if the tag still waits, undefined if it should not wait any longer
   */
  hold(key: string): number | undefined {
    const known = this.#held.get(key) ?? { since: this.now(), tries: 0 };
    known.tries += 1;
    if (known.tries >= MAX_TRIES || this.now() - known.since >= MAX_HOLD_MS) {
      this.#held.delete(key);
      return undefined;
    }
    this.#held.set(key, known);
    const [oldest] = this.#held.keys();
    if (this.#held.size > MAX_KNOWN && oldest !== undefined) this.#held.delete(oldest);
    return known.tries;
  }

  release(key: string): void {
    this.#held.delete(key);
  }
}

/** For messages: "try 1 of 3". */
export function holdText(tries: number): string {
  return `attempt ${tries} of ${MAX_TRIES}`;
}
