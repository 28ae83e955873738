/** The clock of the cluster side; tests provide their own. */
export interface Clock {
  /** Monotonic milliseconds, independent of changes to the machine's time. */
  now(): number;
  /** The time of day, for display. */
  date(): Date;
  /** Calls `then` once, after the given milliseconds. @returns a function that cancels the call */
  after(milliseconds: number, then: () => void): () => void;
}

/** Does not keep the process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after: (milliseconds, then) => {
    const timer = setTimeout(then, milliseconds).unref();
    return () => clearTimeout(timer);
  },
};
