import { BoundedMap } from '../../util/bounded-map.js';

interface Bucket {
  tokens: number;
  since: number;
}

export interface SpamFilterOptions {
  /** Maximum burst. */
  readonly burst: number;
  /** Milliseconds until one more is allowed. */
  readonly refill: number;
  /** Maximum number of keys; the longest unused is forgotten first. */
  readonly capacity: number;
}

/** client-go's limits for Events: 25 per object, then one in five minutes. */
export const SPAM_FILTER: SpamFilterOptions = { burst: 25, refill: 300_000, capacity: 4_096 };

/** A token bucket for each key. Times in milliseconds of any single clock. */
export class SpamFilter {
  private readonly buckets: BoundedMap<string, Bucket>;

  constructor(private readonly options: SpamFilterOptions) {
    this.buckets = new BoundedMap(options.capacity);
  }

  /** @returns false if there were too many recently */
  take(key: string, now: number): boolean {
    const bucket = this.bucket(key, now);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** Counts an event that can no longer be held back; later ones wait longer. */
  spend(key: string, now: number): void {
    this.bucket(key, now).tokens -= 1;
  }

  /** Milliseconds until the next one is allowed. */
  wait(key: string, now: number): number {
    const { tokens } = this.bucket(key, now);
    return tokens >= 1 ? 0 : (1 - tokens) * this.options.refill;
  }

  private bucket(key: string, now: number): Bucket {
    const { burst, refill } = this.options;
    const known = this.buckets.get(key);
    const tokens = known === undefined ? burst : Math.min(burst, known.tokens + (now - known.since) / refill);
    const bucket = { tokens, since: now };
    this.buckets.set(key, bucket);
    return bucket;
  }
}
