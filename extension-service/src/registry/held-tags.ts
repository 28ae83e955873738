const MAX_TRIES = 3;
const MAX_HOLD_MS = 10 * 60_000;
const MAX_KNOWN = 10_000;

/**
 * Tags that wait for signatures which cannot be read for a passing reason: an image whose signatures are missing fails
 * the policies that verify them. After three tries, or ten minutes, the image is worth more without them.
 */
export class HeldTags {
  readonly #held = new Map<string, { readonly since: number; tries: number }>();

  constructor(private readonly now: () => number) {}

  /** One more try failed. @returns which try it was when the tag goes on waiting, undefined when it is not to wait more */
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
