import type { CopyFailure } from '../registry/copy-failure.js';
import { CRASHED_PAUSE_MS, MAX_CRASHES, CRASHED_JOB_PAUSE_MS } from './crash-counter.js';
import type { Entry } from './entry.js';
import { HostPauses } from './host-pauses.js';
import { MAX_WAIT_MS, retryDelay } from './retry.js';
import type { RetryPolicy } from './retry.js';
import type { MirrorResult } from './status.js';

/** The step after an attempt. Times in milliseconds. */
export type FollowUp =
  | { readonly do: 'finish' }
  /** Copy again with force: a request needs the source's current content. */
  | { readonly do: 'copy-again' }
  /** Behind the others of its registry. */
  | { readonly do: 'queue' }
  | { readonly do: 'wait'; readonly delay: number }
  /** `pause`: time until a new request may retry it. */
  | { readonly do: 'give-up'; readonly failure: CopyFailure; readonly pause: number };

export interface AttemptContext {
  readonly retry: RetryPolicy;
  readonly random: () => number;
  readonly draining: boolean;
  /** Another replica makes this copy. */
  readonly yields: boolean;
  readonly now: () => number;
}

export interface AttemptFindings {
  /** The registry stays down: all copies that wait for it are abandoned. */
  readonly isHostDown: boolean;
  /** The background worker ended, possibly because of this copy. */
  readonly isCrash: boolean;
}

/** Milliseconds between two checks of an image that a gate holds. */
const MIN_HOLD_MS = 1_000;
const MAX_HOLD_MS = 3_600_000;

/** The step that follows from the result of an attempt. */
export function followUp(
  context: AttemptContext,
  entry: Entry,
  result: MirrorResult,
  findings: AttemptFindings,
): FollowUp {
  const { retry, random, draining } = context;
  // Waiting requests have their answer, and another replica continues.
  const isOtherReplicas = context.yields && !entry.exclusive && !draining;
  if (result.ok)
    return entry.again !== undefined && !draining && !isOtherReplicas ? { do: 'copy-again' } : { do: 'finish' };
  const { failure } = result;
  if (findings.isCrash && !draining) return afterCrash(entry, failure);
  const isFixed = entry.fixed?.includes(failure.reason) === true;
  if (isOtherReplicas) {
    const delay = failure.retryable ? retryDelay(retry, entry.attempts, failure, random) : retry.pause;
    return { do: 'give-up', failure, pause: isFixed ? 0 : delay };
  }
  if (isFixed && !draining) return { do: 'queue' };
  if (failure.gate?.until !== undefined && !draining) return afterHeldGate(context, failure, failure.gate.until);
  if (findings.isHostDown || !failure.retryable || entry.attempts >= retry.attempts || draining) {
    return { do: 'give-up', failure, pause: retry.pause };
  }
  if (HostPauses.isHostFailure(failure)) return { do: 'queue' };
  return { do: 'wait', delay: retryDelay(retry, entry.attempts, failure, random) };
}

/** A gate's hold is not a failed attempt. It is checked before it ends, because the tag may have moved by then. */
function afterHeldGate({ retry, now }: AttemptContext, failure: CopyFailure, until: number): FollowUp {
  const left = Math.max(until - now(), MIN_HOLD_MS);
  const { longestWait = MAX_WAIT_MS } = retry;
  // A user waits, and runs the command again.
  if (longestWait < MAX_WAIT_MS) return { do: 'give-up', failure, pause: retry.pause };
  return { do: 'wait', delay: Math.min(left, MAX_HOLD_MS) };
}

function afterCrash({ crashes, job }: Entry, failure: CopyFailure): FollowUp {
  if (crashes < MAX_CRASHES) return { do: 'wait', delay: CRASHED_JOB_PAUSE_MS };
  const hours = CRASHED_PAUSE_MS / 3_600_000;
  const message = `${job.source}: the background worker ended ${crashes} times while copying this image; the next attempt is in ${hours} h`;
  return { do: 'give-up', failure: { ...failure, message, retryable: false }, pause: CRASHED_PAUSE_MS };
}
