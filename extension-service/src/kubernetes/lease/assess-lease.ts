import { sameRecord } from './record.js';
import type { StoredLease } from './record.js';

/** The last known Lease, and the time (own clock, milliseconds) of its last change. */
export interface Observation {
  /** The last Lease seen; undefined if there never was one. */
  readonly lease: StoredLease | undefined;
  /** Whether it was missing at the last read. */
  readonly gone: boolean;
  readonly unchangedSince: number;
}

export interface Candidate {
  readonly identity: string;
  /** Set in a Pod: a holder of the same Pod with another identity is a container that has ended. */
  readonly podName?: string | undefined;
  /** Minimum milliseconds that a holder is assumed to be alive. */
  readonly duration: number;
}

/** The next action on the Lease. */
export type LeaseAssessment =
  | { readonly do: 'create' | 'renew' | 'take' }
  /** Held by another replica for at most this many milliseconds, unless it is renewed. */
  | { readonly do: 'wait'; readonly remaining: number };

/** Limits a record's duration: a typing error must not stop all copies for days. */
const MAX_LEASE_DURATION_MS = 60_000;

/** Records what was just read; `found` is undefined if the Lease does not exist. */
export function observe(before: Observation, found: StoredLease | undefined, now: number): Observation {
  if (found === undefined) return { ...before, gone: true };
  const unchanged = before.lease !== undefined && sameRecord(before.lease.record, found.record);
  return { lease: found, gone: false, unchangedSince: unchanged ? before.unchangedSince : now };
}

/**
 * Decides as client-go does: a holder is assumed to be alive until its record has not changed for its duration, on our
 * own clock.
 *
 * If the Lease is gone, the last holder is still assumed to be alive, so that deleting the Lease does not create a
 * second leader.
 */
export function assessLease(
  { lease, gone, unchangedSince }: Observation,
  candidate: Candidate,
  now: number,
): LeaseAssessment {
  if (lease === undefined) return { do: 'create' };
  const { holder, duration = 0 } = lease.record;
  const claim = gone ? 'create' : 'take';
  if (holder === candidate.identity) return { do: gone ? 'create' : 'renew' };
  if (holder === '' || isPredecessor(holder, candidate)) return { do: claim };
  // Never shorter than our own duration: a holder of our kind renews by that, regardless of its record.
  const trustedDuration = Math.max(candidate.duration, Math.min(duration, MAX_LEASE_DURATION_MS));
  const remaining = unchangedSince + trustedDuration - now;
  return remaining <= 0 ? { do: claim } : { do: 'wait', remaining };
}

/** Whether the holder is `POD_UUID` with our Pod's name: a Pod never runs two containers of one name at once. */
function isPredecessor(holder: string, { identity, podName }: Candidate): boolean {
  if (podName === undefined || podName === '' || holder === identity) return false;
  const end = holder.lastIndexOf('_');
  return end > 0 && holder.slice(0, end) === podName && UUID.test(holder.slice(end + 1));
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
