import type { GateConfig } from '../config/model.js';
import { formatDuration } from '../config/duration.js';
import { utcSeconds } from '../utc-seconds.js';

/** The checks of a gate, in order: a later one does not run until the earlier ones pass. */
export type GateCheck = 'minimumAge' | 'verify' | 'webhook';

/** The checks that need a request; the age is known without one. */
export type ExternalCheck = Exclude<GateCheck, 'minimumAge'>;

/** The result of asking a check about one digest. Times in milliseconds since the epoch. */
export type CheckResult =
  | { readonly state: 'allowed' }
  /** With `at`, when it was asked: the check is asked again an hour later. */
  | { readonly state: 'denied'; readonly reason: string; readonly at?: number }
  /** It gave no verdict; `tries` in a row, the last one at `at`. */
  | { readonly state: 'failed'; readonly reason: string; readonly at: number; readonly tries: number };

/** The facts known about a digest. Times in milliseconds since the epoch. */
export interface GateFacts {
  readonly now: number;
  /** When a registry first showed the digest to us. */
  readonly firstSeen: number;
  readonly results: { readonly [Check in ExternalCheck]?: CheckResult };
}

export type GateDecision =
  | { readonly state: 'allowed' }
  /** The check must be asked before there is a judgement. */
  | { readonly state: 'ask'; readonly check: ExternalCheck }
  /** Not now; `until`: when it is judged again, in milliseconds since the epoch. */
  | { readonly state: 'held'; readonly check: GateCheck; readonly reason: string; readonly until: number }
  | { readonly state: 'denied'; readonly check: GateCheck; readonly reason: string };

/** Milliseconds before a check that gave no verdict is asked again; doubled with each failure in a row. */
const FIRST_RETRY_MS = 30_000;
const MAX_RETRY_MS = 3_600_000;

/** Judges a digest by what is known of it. Pure: asks nothing, reads no clock. */
export function decideGate(gate: GateConfig, facts: GateFacts): GateDecision {
  const young = tooYoung(gate, facts);
  if (young !== undefined) return young;
  for (const check of externalChecks(gate)) {
    const judgement = decideResult(gate, check, facts);
    if (judgement !== undefined) return judgement;
  }
  return { state: 'allowed' };
}

/** When a check that has failed so many times in a row is asked again. */
export function retryAt({ at, tries }: { readonly at: number; readonly tries: number }): number {
  return at + Math.min(FIRST_RETRY_MS * 2 ** Math.min(Math.max(tries, 1) - 1, 20), MAX_RETRY_MS);
}

function externalChecks(gate: GateConfig): readonly ExternalCheck[] {
  return (['verify', 'webhook'] as const).filter((check) => gate[check] !== undefined);
}

/** A time in the future, from a clock that was wrong, counts as now: the age begins again. */
function tooYoung({ minimumAge = 0 }: GateConfig, { now, firstSeen }: GateFacts): GateDecision | undefined {
  const until = Math.min(firstSeen, now) + minimumAge;
  if (now >= until) return undefined;
  const reason = `it was first seen ${utcSeconds(Math.min(firstSeen, now))}, and minimumAge is ${formatDuration(minimumAge)}`;
  return { state: 'held', check: 'minimumAge', reason, until };
}

/** @returns undefined when the check lets the digest through */
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
      // A clock that was set back must not hold the digest for longer than the longest pause.
      if (now >= until || now < result.at) return { state: 'ask', check };
      return { state: 'held', check, reason: result.reason, until };
    }
  }
}

function isOld({ at }: { readonly at?: number }, now: number): boolean {
  return at !== undefined && (now >= at + MAX_RETRY_MS || now < at);
}

/** The meaning of a check that gives no verdict. */
export function onError({ webhook }: GateConfig, check: ExternalCheck): 'hold' | 'allow' {
  return check === 'webhook' ? (webhook?.onError ?? 'hold') : 'hold';
}
