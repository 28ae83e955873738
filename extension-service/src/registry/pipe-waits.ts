/** Shorter waits for a source do not explain why its target ended an upload. */
const STARVED_MS = 1_000;

/** The side that a pipe waits for, with total times, so that no side is blamed for the other one. */
export class PipeWaits {
  readonly #now: () => number;
  readonly #totals = { source: 0, target: 0 };
  #side: 'source' | 'target' | undefined;
  #since = 0;

  /** @param now milliseconds of a monotonic clock */
  constructor(now = (): number => performance.now()) {
    this.#now = now;
  }

  /** From now on the pipe waits for this side, or for neither. */
  waitFor(side: 'source' | 'target' | undefined): void {
    if (side === this.#side) return;
    const now = this.#now();
    if (this.#side !== undefined) this.#totals[this.#side] += now - this.#since;
    this.#side = side;
    this.#since = now;
  }

  /** Whether the pipe has waited more for its source than for its target, and long enough for the target to give up. */
  get isStarved(): boolean {
    const running = this.#side === undefined ? 0 : this.#now() - this.#since;
    const source = this.#totals.source + (this.#side === 'source' ? running : 0);
    const target = this.#totals.target + (this.#side === 'target' ? running : 0);
    return source >= STARVED_MS && source > target;
  }
}
