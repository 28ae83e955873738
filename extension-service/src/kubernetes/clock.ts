/** Time as the cluster side uses it; a test brings its own. */
export interface Clock {
  /** Milliseconds that only ever grow, whatever is done to the machine's time. */
  now(): number;
  /** The time of day, for what people read. */
  date(): Date;
  /** Calls `then` once, after so many milliseconds. @returns what calls that off */
  after(milliseconds: number, then: () => void): () => void;
}

/** Keeps no process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after: (milliseconds, then) => {
    const timer = setTimeout(then, milliseconds).unref();
    return () => clearTimeout(timer);
  },
};
