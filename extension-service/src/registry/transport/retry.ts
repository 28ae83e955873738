import { RegistryError } from '../errors.js';
import { sleep } from '../../util/sleep.js';

export interface RetryPolicy {
  /** Maximum tries in total. */
  readonly attempts: number;
  /** Maximum tries of throttled requests: each rejection slows the next ones down, see pace.ts. @default attempts */
  readonly throttledAttempts?: number;
  /**
   * Milliseconds before the second try, doubled for each further one; a random part of it is waited ("full jitter").
   */
  readonly baseDelay: number;
  readonly maxDelay: number;
  /** A longer Retry-After is left to the caller: the error is thrown at once. */
  readonly maxRetryAfter: number;
}

/** Throttled requests are tried for about ten seconds, in which the pace gates find most registries' rates. */
export const DEFAULT_RETRY: RetryPolicy = {
  attempts: 4,
  throttledAttempts: 8,
  baseDelay: 250,
  maxDelay: 5_000,
  maxRetryAfter: 10_000,
};

export interface RetryTools {
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

export const DEFAULT_RETRY_TOOLS: RetryTools = {
  random: Math.random,
  // An abort ends the delay; the loop then throws the signal's own reason.
  sleep,
};

/** Runs `attempt` until it succeeds, fails permanently, or has used all tries. `attempt` must be safe to repeat. */
export async function withRetry<T>(
  policy: RetryPolicy,
  tools: RetryTools,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof RegistryError) || !error.retryable || tries >= maxTries(policy, error)) throw error;
      const pause = pauseBefore(policy, tools, tries, error.retryAfter);
      if (pause === undefined) throw error;
      await tools.sleep(pause, signal);
      signal?.throwIfAborted();
    }
  }
}

function maxTries({ attempts, throttledAttempts = attempts }: RetryPolicy, { kind }: RegistryError): number {
  return kind === 'throttled' ? throttledAttempts : attempts;
}

/** Milliseconds, or undefined if the registry requests more than this caller waits. */
function pauseBefore(
  policy: RetryPolicy,
  tools: RetryTools,
  tries: number,
  retryAfter: number | undefined,
): number | undefined {
  const jitter = tools.random() * Math.min(policy.maxDelay, policy.baseDelay * 2 ** (tries - 1));
  if (retryAfter === undefined) return jitter;
  return retryAfter > policy.maxRetryAfter ? undefined : retryAfter + jitter;
}

/** A Retry-After header, seconds or a date, in milliseconds from `now`. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\s*\d+(?:\.\d+)?\s*$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
