import { BoundedMap } from '../util/bounded-map.js';

/** Maximum answers of each kind; the oldest are dropped first. */
const MAX_ANSWERS = 20_000;
/** Milliseconds for which a grant is valid without another request. */
export const FRESH_MS = 10 * 60_000;
/** Milliseconds for which a grant is valid while the source does not answer. */
export const OUTAGE_MS = 24 * 60 * 60_000;
/** Milliseconds for which a refusal is valid: rights may be granted soon. */
export const REFUSED_MS = 30_000;
/** The same for anonymous access: an image rarely becomes public. */
export const NOT_PUBLIC_MS = 5 * 60_000;
/** Milliseconds without another request after one that had no answer. */
export const UNANSWERED_RETRY_MS = 10_000;

interface Refusal {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly message: string;
  readonly life: number;
}

/**
 * Answers of sources to who may read an image, by credentials and digest. Refusals, which hostile Pods can cause
 * without limit, never displace grants.
 */
export class AccessCache {
  private readonly grants = new BoundedMap<string, number>(MAX_ANSWERS);
  private readonly refused = new BoundedMap<string, Refusal>(MAX_ANSWERS);
  private readonly outages = new BoundedMap<string, Refusal>(MAX_ANSWERS);

  constructor(private readonly now: () => number) {}

  /** Milliseconds for which a grant is still fresh; 0 or less if it only counts in an outage; undefined for none. */
  granted(key: string): number | undefined {
    const at = this.grants.get(key);
    if (at === undefined) return undefined;
    const age = this.now() - at;
    return age < OUTAGE_MS ? FRESH_MS - age : undefined;
  }

  /** Why access was refused recently. */
  refusal(key: string): string | undefined {
    return this.current(this.refused.get(key));
  }

  /** Why there was no answer recently. */
  recentOutage(key: string): string | undefined {
    return this.current(this.outages.get(key));
  }

  grant(key: string): void {
    this.grants.set(key, this.now());
    this.refused.delete(key);
    this.outages.delete(key);
  }

  refuse(key: string, message: string, life: number): void {
    this.grants.delete(key);
    this.outages.delete(key);
    this.refused.set(key, { at: this.now(), message, life });
  }

  recordOutage(key: string, message: string, life: number): void {
    this.outages.set(key, { at: this.now(), message, life });
  }

  private current(kept: Refusal | undefined): string | undefined {
    return kept !== undefined && this.now() - kept.at < kept.life ? kept.message : undefined;
  }
}
