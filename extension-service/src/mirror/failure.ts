/** Why a copy failed, in the classes that decide when it is tried again. Plain data: it crosses from the copy thread. */
export interface CopyFailure {
  readonly reason: FailureReason;
  /** For people: names the image or host and what to do. Never carries a secret. */
  readonly message: string;
  readonly retryable: boolean;
  /** Milliseconds that the registry asked us to wait. */
  readonly retryAfter?: number;
  /** host[:port] of the registry that it happened at. */
  readonly host?: string;
}

export type FailureReason =
  | 'absent'
  | 'unauthorized'
  | 'forbidden'
  | 'throttled'
  | 'unreachable'
  | 'invalid'
  | 'conflict'
  | 'refused'
  | 'server'
  | 'stopped'
  | 'internal';

/** Whether other pull secrets may mend it: registries say "not found" to whoever may not read. */
export function mayBeCredentials({ reason }: CopyFailure): boolean {
  return reason === 'unauthorized' || reason === 'forbidden' || reason === 'absent';
}

/** Carries a failure through promises and across the thread's boundary. */
export class CopyFailedError extends Error {
  override readonly name = 'CopyFailedError';
  constructor(readonly failure: CopyFailure) {
    super(failure.message);
  }
}

/** Times between tries, in milliseconds. */
export interface RetryPolicy {
  readonly base: number;
  readonly max: number;
  readonly attempts: number;
  /** How long a failure that no retry can mend is remembered before a new request tries it again. */
  readonly pause: number;
}

export const DEFAULT_RETRY: RetryPolicy = { base: 1_000, max: 300_000, attempts: 12, pause: 60_000 };

/** Full jitter, so that many copies that failed together don't come back together; never before `retryAfter`. */
export function retryDelay(policy: RetryPolicy, attempt: number, failure: CopyFailure, random: () => number): number {
  const ceiling = Math.min(policy.max, policy.base * 2 ** (attempt - 1));
  const jittered = Math.round(ceiling * (0.1 + 0.9 * random()));
  return Math.max(jittered, Math.min(failure.retryAfter ?? 0, policy.max));
}
