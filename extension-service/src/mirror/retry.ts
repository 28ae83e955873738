import type { CopyFailure } from '../registry/copy-failure.js';

/** Times between tries, in milliseconds. */
export interface RetryPolicy {
  readonly base: number;
  readonly max: number;
  readonly attempts: number;
  /** How long a failure that no retry can fix is remembered before a new request tries it again. */
  readonly pause: number;
}

export const DEFAULT_RETRY: RetryPolicy = { base: 1_000, max: 300_000, attempts: 12, pause: 60_000 };

/** Full jitter, so that many copies that failed together don't come back together; never before `retryAfter`. */
export function retryDelay(policy: RetryPolicy, attempt: number, failure: CopyFailure, random: () => number): number {
  const ceiling = Math.min(policy.max, policy.base * 2 ** (attempt - 1));
  const jittered = Math.round(ceiling * (0.1 + 0.9 * random()));
  return Math.max(jittered, Math.min(failure.retryAfter ?? 0, policy.max));
}
