import { BoundedMap } from './bounded-map.js';

export interface LineRate {
  /** Maximum burst of lines. */
  readonly burst: number;
  /** Lines per second after that. */
  readonly perSecond: number;
}

interface Bucket {
  left: number;
  /** Milliseconds since the epoch. */
  at: number;
  leftOut: number;
}

/** Keys come from outside. */
const MAX_KEYS = 1_000;

/**
 * A budget of log lines for each key and for all of them: it limits namespaces that fill the log, even if one client
 * invents many names. Dropped lines are counted.
 */
export class LineBudget {
  private readonly buckets = new BoundedMap<string, Bucket>(MAX_KEYS);
  private readonly all: Bucket;

  constructor(
    private readonly each: LineRate,
    private readonly total: LineRate,
    private readonly now: () => number = Date.now,
  ) {
    this.all = { left: total.burst, at: now(), leftOut: 0 };
  }

  /**
   * @param cost of the line, in lines of normal length
   * @returns the number of dropped lines for this key since the last one; undefined if this line should be dropped
   */
  take(key: string, cost = 1): number | undefined {
    const own = this.buckets.get(key) ?? { left: this.each.burst, at: this.now(), leftOut: 0 };
    this.buckets.set(key, own);
    const hasOwn = this.refill(own, this.each) >= cost;
    if (!hasOwn || this.refill(this.all, this.total) < cost) {
      own.leftOut += 1;
      return undefined;
    }
    own.left -= cost;
    this.all.left -= cost;
    const { leftOut } = own;
    own.leftOut = 0;
    return leftOut;
  }

  private refill(bucket: Bucket, { burst, perSecond }: LineRate): number {
    const now = this.now();
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.at) / 1_000) * perSecond);
    bucket.at = now;
    return bucket.left;
  }
}
