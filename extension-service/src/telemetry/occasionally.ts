/** Says when something that may happen thousands of times a second is worth a log line again. */
export class Occasionally {
  private readonly last = new Map<string, number>();

  /** Remembers at most `capacity` keys: they may come from outside. */
  constructor(
    private readonly interval: number,
    private readonly now: () => number = Date.now,
    private readonly capacity = 1_000,
  ) {}

  /** True the first time, and then at most once an interval, for each key. */
  due(key: string): boolean {
    const now = this.now();
    const last = this.last.get(key);
    if (last !== undefined && now - last < this.interval) return false;
    this.last.delete(key);
    this.last.set(key, now);
    const oldest = this.last.keys().next();
    if (this.last.size > this.capacity && !oldest.done) this.last.delete(oldest.value);
    return true;
  }
}
