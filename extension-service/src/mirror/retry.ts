import type { CopyFailure } from '../registry/copy-failure.js';

/** Delays between attempts, in milliseconds. */
export interface RetryPolicy {
  readonly base: number;
  readonly max: number;
  readonly attempts: number;
  /** How long a permanent failure is remembered before a new request retries it. */
  readonly pause: number;
  /** If a registry requests a longer wait, attempts end. @default a day */
  readonly longestWait?: number;
}

export const MAX_WAIT_MS = 24 * 3_600_000;

export const DEFAULT_RETRY: RetryPolicy = { base: 1_000, max: 300_000, attempts: 12, pause: 60_000 };

/** Full jitter, so that many copies that failed together are not retried together; never before `retryAfter`. */
export function retryDelay(policy: RetryPolicy, attempt: number, failure: CopyFailure, random: () => number): number {
  const ceiling = Math.min(policy.max, policy.base * 2 ** (attempt - 1));
  const jittered = Math.round(ceiling * (0.1 + 0.9 * random()));
  return Math.max(jittered, waitAsked(policy, failure));
}

/** Milliseconds that a registry asked us to wait, up to the maximum wait. */
export function waitAsked({ longestWait = MAX_WAIT_MS }: RetryPolicy, { retryAfter = 0 }: CopyFailure): number {
  return Math.min(retryAfter, longestWait);
}

/** The failure with the time, if the registry requests a longer wait than the maximum; otherwise undefined. */
export function hostTimeout(policy: RetryPolicy, failure: CopyFailure, now: number): CopyFailure | undefined {
  const { retryAfter = 0, message } = failure;
  if (retryAfter <= waitAsked(policy, failure)) return undefined;
  const seconds = Math.ceil(retryAfter / 1000);
  // The latest time that a Date can represent.
  const until = new Date(Math.min(now + retryAfter, 8.64e15)).toISOString();
  return { ...failure, message: `${message}; it requests a wait of ${seconds} s, until ${until}` };
}
