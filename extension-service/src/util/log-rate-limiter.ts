import { BoundedMap } from './bounded-map.js';
/** Limits log lines per key, for events that may happen thousands of times a second. */
export class LogRateLimiter {
  private readonly last: BoundedMap<string, { readonly at: number; missed: number }>;

  /** Remembers at most `capacity` keys, because they may come from outside. */
  constructor(
    private readonly interval: number,
    private readonly now: () => number = Date.now,
    capacity = 1_000,
  ) {
    this.last = new BoundedMap(capacity);
  }

  /** True the first time, and then at most once per interval, for each key. */
  shouldLog(key: string): boolean {
    return this.count(key) !== undefined;
  }

  /** The number of suppressed lines since the last one if a line is due; undefined if none is. */
  count(key: string): number | undefined {
    const now = this.now();
    const last = this.last.get(key);
    if (last !== undefined && now - last.at < this.interval) {
      last.missed += 1;
      return undefined;
    }
    this.last.set(key, { at: now, missed: 0 });
    return last?.missed ?? 0;
  }
}
