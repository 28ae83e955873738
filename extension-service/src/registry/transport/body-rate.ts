/**
 * Least rate of a body while we wait for its sender or taker, in bytes a second. A hundred bodies at it fill a line of
 * 1 Mbit/s, so a slow network does not come below it, and a layer that drips does.
 */
export const MIN_BODY_RATE = 1_024;

/** One look at a body. */
export interface BodyState {
  /** Bytes so far, in any direction, from any start. */
  readonly progress: number;
  /** Whether the peer is what we wait for, and not the other side of our own pipe. */
  readonly waiting: boolean;
}

/** Watches that a body keeps up a least rate. Time in which the peer waits for us does not count. */
export class BodyRate {
  #waited = 0;
  #from: number;
  #last: number;

  /**
   * @param windowMs waited time over which the rate is taken
   * @param maxStepMs longest time that one look stands for: a thread that was busy must not blame the peer
   */
  constructor(
    private readonly windowMs: number,
    private readonly maxStepMs: number,
    progress: number,
    now: number,
  ) {
    this.#from = progress;
    this.#last = now;
  }

  /** Call it at regular times, in milliseconds of one clock. */
  isTooSlow({ progress, waiting }: BodyState, now: number): boolean {
    if (waiting) this.#waited += Math.min(now - this.#last, this.maxStepMs);
    this.#last = now;
    if (this.#waited < this.windowMs) return false;
    const isSlow = (progress - this.#from) * 1_000 < MIN_BODY_RATE * this.#waited;
    this.#waited = 0;
    this.#from = progress;
    return isSlow;
  }
}
