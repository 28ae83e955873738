import { MAX_TEXT_BYTES, mergeFirstSeen, readFirstSeen, writeFirstSeen } from '../core/gate/first-seen.js';
import { LogRateLimiter } from '../util/log-rate-limiter.js';
import { messageOf } from '../util/message-of.js';

/** Persistent storage of the times. */
export interface SeenStore {
  /** For messages, as in `ConfigMap team/name`. */
  readonly title: string;
  /** @returns undefined if nothing is stored yet */
  read(): Promise<StoredTimes | undefined>;
  /** @returns false if another replica has written since `version` was read */
  write(text: string, version: string | undefined): Promise<boolean>;
}

export interface StoredTimes {
  readonly text: string;
  readonly version: string;
}

export interface SeenDigestsOptions {
  /** Undefined if times are only kept in memory. */
  readonly store: () => Promise<SeenStore | undefined>;
  readonly report: (problem: string) => void;
  readonly now: () => number;
  /** New digests are collected for this many milliseconds before they are written. @default 1000 */
  readonly collect?: number;
}

const WRITE_DELAY_MS = 1_000;
/** Other replicas also write: the store is read again for an unknown digest, at most this often. */
const REREAD_MS = 5_000;
const RETRY_MS = 30_000;
const MAX_CONFLICTS = 5;
const PROBLEM_INTERVAL_MS = 600_000;
/** A line of the store has at least 60 bytes. */
const MAX_DIGESTS = Math.floor(MAX_TEXT_BYTES / 60);

/**
 * The time when a registry first showed each digest to this service. If the store has lost a digest, its age starts
 * again, so images are held longer and never pass too early. An unreachable store is reported, and the times of this
 * process are used meanwhile.
 */
export class SeenDigests {
  private times = new Map<string, number>();
  private readAt = -Infinity;
  private reading: Promise<void> | undefined;
  private writing: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isDirty = false;
  private readonly problems: LogRateLimiter;

  constructor(private readonly options: SeenDigestsOptions) {
    this.problems = new LogRateLimiter(PROBLEM_INTERVAL_MS, options.now);
  }

  /**
   * @param record false: a new digest is not recorded, as in a dry run
   * @returns milliseconds since the epoch, never later than now
   */
  async firstSeen(digest: string, record: boolean): Promise<number> {
    const { now } = this.options;
    if (!this.times.has(digest)) await this.readAgain();
    const known = this.times.get(digest);
    const time = Math.min(known ?? Infinity, now());
    if (known === time || !record) return time;
    this.times.set(digest, time);
    this.prune();
    this.isDirty = true;
    this.schedule(this.options.collect ?? WRITE_DELAY_MS);
    return time;
  }

  /**
   * Whether the times are stored persistently; a store that is unreachable now is reported, and counts as persistent.
   */
  async isKept(): Promise<boolean> {
    try {
      return (await this.options.store()) !== undefined;
    } catch {
      return true;
    }
  }

  /** Resolves when the recorded times are written, or writing failed. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.writing;
    if (!this.isDirty) return;
    this.writing = this.write().finally(() => (this.writing = undefined));
    await this.writing;
  }

  private schedule(milliseconds: number): void {
    if (this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.flush();
    }, milliseconds).unref();
  }

  private readAgain(): Promise<void> {
    if (performance.now() - this.readAt < REREAD_MS) return Promise.resolve();
    this.reading ??= this.read().finally(() => (this.reading = undefined));
    return this.reading;
  }

  private async read(): Promise<void> {
    try {
      const store = await this.options.store();
      const stored = await store?.read();
      if (stored !== undefined) this.take(stored);
    } catch (error) {
      this.problem(error);
    }
    this.readAt = performance.now();
  }

  private async write(): Promise<void> {
    this.isDirty = false;
    try {
      const store = await this.options.store();
      for (let tries = 0; store !== undefined; tries += 1) {
        const stored = await store.read();
        if (stored !== undefined) this.take(stored);
        const text = writeFirstSeen(this.times);
        if (text === stored?.text || (await store.write(text, stored?.version))) return;
        if (tries >= MAX_CONFLICTS) throw new Error(`${store.title}: other replicas change it all the time`);
      }
    } catch (error) {
      this.problem(error);
      this.isDirty = true;
      this.schedule(RETRY_MS);
    }
  }

  private take({ text }: StoredTimes): void {
    this.times = mergeFirstSeen(this.times, readFirstSeen(text), this.options.now());
    this.prune();
  }

  /** The oldest are dropped first, as in the store. */
  private prune(): void {
    if (this.times.size <= MAX_DIGESTS) return;
    this.times = readFirstSeen(writeFirstSeen(this.times));
  }

  private problem(error: unknown): void {
    const message = messageOf(error);
    if (!this.problems.shouldLog(message)) return;
    this.options.report(
      `gate.minimumAge: ${message}: ages of new images count from the start of this process until this is fixed`,
    );
  }
}
