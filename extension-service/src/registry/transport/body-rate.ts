/**
 * Minimum rate of a body while we wait for the peer, in bytes per second. A hundred bodies at this rate fill a line of
 * 1 Mbit/s, so a slow network does not fall below it, but a layer that trickles does.
 */
export const MIN_BODY_RATE = 1_024;

/** One measurement of a body. */
export interface BodyState {
  /** Number of bytes so far, in either direction. */
  readonly progress: number;
  /** Whether we wait for the peer, and not for the other side of our own pipe. */
  readonly waiting: boolean;
}

/** Checks that a body keeps a minimum rate. Time in which the peer waits for us does not count. */
export class BodyRate {
  #waited = 0;
  #from: number;
  #last: number;

  /**
   * @param windowMs waited time over which the rate is measured
   * @param maxStepMs maximum time for one measurement: a busy thread must not blame the peer
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

  /** Call it at regular intervals, with milliseconds of one clock. */
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
