export interface BreakerOptions {
  /** Failures in a row after which it opens. @default 3 */
  readonly threshold?: number;
  /** Milliseconds for which it stays open before one call may try again. @default 5000 */
  readonly pause?: number;
  readonly now: () => number;
}

/** Stops calls to a registry that does not answer, so that not every Pod waits its whole budget for it. */
export class CircuitBreaker {
  private failures = 0;
  private openUntil = 0;

  constructor(private readonly options: BreakerOptions) {}

  /** Whether a call may be made; after the pause, for one caller at a time. */
  allows(): boolean {
    if (this.failures < this.threshold) return true;
    const now = this.options.now();
    if (now < this.openUntil) return false;
    this.openUntil = now + this.pause;
    return true;
  }

  succeeded(): void {
    this.failures = 0;
  }

  failed(): void {
    this.failures += 1;
    if (this.failures >= this.threshold) this.openUntil = this.options.now() + this.pause;
  }

  private get threshold(): number {
    return this.options.threshold ?? 3;
  }

  private get pause(): number {
    return this.options.pause ?? 5_000;
  }
}
