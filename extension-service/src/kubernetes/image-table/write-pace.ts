/** Milliseconds between two writes. */
const WRITE_INTERVAL_MS = 5_000;
/** Maximum objects to write per minute: after each of them, every API server compiles a policy again. */
const MAX_WRITES_PER_MINUTE = 12;
const MINUTE_MS = 60_000;

/** Limits the pace of writes to the API server, by the times of earlier writes. Times in milliseconds. */
export class WritePace {
  private times: number[] = [];

  record(objects: number, now: number): void {
    this.times = this.times.filter((time) => time > now - MINUTE_MS);
    for (let index = 0; index < objects; index += 1) this.times.push(now);
  }

  /** @returns time until this many objects may be written; 0 or less for now */
  pause(objects: number, now: number): number {
    const { times } = this;
    const last = times.at(-1) ?? -Infinity;
    // The write that must be a minute old before these objects are sent.
    const oldest = times[times.length + objects - MAX_WRITES_PER_MINUTE - 1] ?? -Infinity;
    return Math.max(last + WRITE_INTERVAL_MS, oldest + MINUTE_MS) - now;
  }
}
