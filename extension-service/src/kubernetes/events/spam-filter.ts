import { BoundedMap } from '../../util/bounded-map.js';

interface Bucket {
  tokens: number;
  since: number;
}

export interface SpamFilterOptions {
  /** How many may come at once. */
  readonly burst: number;
  /** Milliseconds until one more may come. */
  readonly refill: number;
  /** Keys that are remembered; the longest unused is forgotten first. */
  readonly capacity: number;
}

/** As client-go's for Events: 25 for each object, and then one in five minutes. */
export const SPAM_FILTER: SpamFilterOptions = { burst: 25, refill: 300_000, capacity: 4_096 };

/** A token bucket for each key. Times in milliseconds of any one clock. */
export class SpamFilter {
  private readonly buckets: BoundedMap<string, Bucket>;

  constructor(private readonly options: SpamFilterOptions) {
    this.buckets = new BoundedMap(options.capacity);
  }

  /** @returns false when there were too many of late */
  take(key: string, now: number): boolean {
    const bucket = this.bucket(key, now);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** For what cannot be held back any more; those after it wait the longer. */
  spend(key: string, now: number): void {
    this.bucket(key, now).tokens -= 1;
  }

  /** Milliseconds until the next is let through. */
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
