import type { GateConfig } from '../config/model.js';
import { formatDuration } from '../config/duration.js';
import { utcSeconds } from '../utc-seconds.js';

/** The checks of a gate, in order: a later one does not run until the earlier ones pass. */
export type GateCheck = 'minimumAge' | 'verify' | 'webhook';

/** The checks that need a request; the age is known without one. */
export type ExternalCheck = Exclude<GateCheck, 'minimumAge'>;

/** The result of a check for one digest. Times are in milliseconds since the epoch. */
export type CheckResult =
  | { readonly state: 'allowed' }
  /** `at` is the time of the check, which is repeated an hour later. */
  | { readonly state: 'denied'; readonly reason: string; readonly at?: number }
  /** The check gave no verdict; `tries` times in a row, the last one at `at`. */
  | { readonly state: 'failed'; readonly reason: string; readonly at: number; readonly tries: number };

/** The known facts about a digest. Times are in milliseconds since the epoch. */
export interface GateFacts {
  readonly now: number;
  /** The time when a registry first showed the digest to this service. */
  readonly firstSeen: number;
  readonly results: { readonly [Check in ExternalCheck]?: CheckResult };
}

export type GateDecision =
  | { readonly state: 'allowed' }
  /** The check must run before there is a decision. */
  | { readonly state: 'ask'; readonly check: ExternalCheck }
  /** Not now; `until`: the time of the next decision, in milliseconds since the epoch. */
  | { readonly state: 'held'; readonly check: GateCheck; readonly reason: string; readonly until: number }
  | { readonly state: 'denied'; readonly check: GateCheck; readonly reason: string };

/** Delay in milliseconds before a check without a verdict is repeated; doubled with each failure in a row. */
const FIRST_RETRY_MS = 30_000;
const MAX_RETRY_MS = 3_600_000;

/** Decides about a digest from the known facts. Pure: sends no requests, reads no clock. */
export function decideGate(gate: GateConfig, facts: GateFacts): GateDecision {
  const held = heldForAge(gate, facts);
  if (held !== undefined) return held;
  for (const check of externalChecks(gate)) {
    const judgement = decideResult(gate, check, facts);
    if (judgement !== undefined) return judgement;
  }
  return { state: 'allowed' };
}

/** The time when a check that failed this many times in a row is repeated. */
export function retryAt({ at, tries }: { readonly at: number; readonly tries: number }): number {
  return at + Math.min(FIRST_RETRY_MS * 2 ** Math.min(Math.max(tries, 1) - 1, 20), MAX_RETRY_MS);
}

function externalChecks(gate: GateConfig): readonly ExternalCheck[] {
  return (['verify', 'webhook'] as const).filter((check) => gate[check] !== undefined);
}

/** A future time, from a wrong clock, counts as the current time: the age starts again. */
function heldForAge({ minimumAge = 0 }: GateConfig, { now, firstSeen }: GateFacts): GateDecision | undefined {
  const until = Math.min(firstSeen, now) + minimumAge;
  if (now >= until) return undefined;
  const reason = `it was first seen ${utcSeconds(Math.min(firstSeen, now))}, and minimumAge is ${formatDuration(minimumAge)}`;
  return { state: 'held', check: 'minimumAge', reason, until };
}

/** @returns undefined if the check allows the digest */
function decideResult(gate: GateConfig, check: ExternalCheck, { now, results }: GateFacts): GateDecision | undefined {
  const result = results[check];
  if (result === undefined) return { state: 'ask', check };
  switch (result.state) {
    case 'allowed':
      return undefined;
    case 'denied':
      return isOld(result, now) ? { state: 'ask', check } : { state: 'denied', check, reason: result.reason };
    case 'failed': {
      if (onError(gate, check) === 'allow') return undefined;
      const until = retryAt(result);
      // After a clock was set back, the digest must not be held for longer than the maximum delay.
      if (now >= until || now < result.at) return { state: 'ask', check };
      return { state: 'held', check, reason: result.reason, until };
    }
  }
}

function isOld({ at }: { readonly at?: number }, now: number): boolean {
  return at !== undefined && (now >= at + MAX_RETRY_MS || now < at);
}

/** The result for a check without a verdict. */
export function onError({ webhook }: GateConfig, check: ExternalCheck): 'hold' | 'allow' {
  return check === 'webhook' ? (webhook?.onError ?? 'hold') : 'hold';
}
