import type { Clock } from '../../extension-service/src/kubernetes/clock.js';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly then: () => void;
}

/** Time in milliseconds from 0, which passes only when a test advances it. Everything that is due happens in order. */
export class VirtualTime {
  now = 0;
  private order = 0;
  private readonly timers = new Set<Timer>();

  at(time: number, then: () => void): () => void {
    const timer: Timer = { at: Math.max(time, this.now), order: this.order++, then };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.at(this.now + milliseconds, resolve));
  }

  /**
   * A machine's clock, which begins at `start` and runs `rate` times as fast as the virtual time. While `alive` is
   * false, no timer fires.
   */
  clock(rate: number, start: number, alive: () => boolean = () => true): Clock {
    return {
      now: () => start + this.now * rate,
      date: () => new Date(Date.UTC(2026, 0, 1) + start + this.now * rate),
      after: (milliseconds, then) => this.at(this.now + milliseconds / rate, () => alive() && then()),
    };
  }

  /** Runs everything that is due until then, and calls `each` after each step. */
  async runUntil(end: number, each: () => void = () => {}): Promise<void> {
    for (;;) {
      await settle();
      each();
      let next: Timer | undefined;
      for (const timer of this.timers) {
        if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order))
          next = timer;
      }
      if (next === undefined || next.at > end) break;
      this.timers.delete(next);
      this.now = next.at;
      next.then();
    }
    this.now = end;
  }
}

/** Resolves when all microtasks have run: an immediate comes after them. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
