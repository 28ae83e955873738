import { sourceHost } from '../../core/decide/mirror-job.js';
import type { CopyReport } from '../copy-report.js';

/**
 * The evidence of one report about a source. `mirrored`: the target has the image, and the source was not contacted. `seen`:
 * the source has it. `gone`: the source does not have it, or denies access. `unknown`: nothing is known about the
 * source.
 */
export type SourceLookup = 'mirrored' | 'seen' | 'gone' | 'unknown';

/** The state of one source; times in milliseconds since the epoch. */
export interface SourceState {
  /** It existed once: the target's image comes from it. */
  readonly wasPresent: boolean;
  /** Number of lookups in a row that did not find it. */
  readonly lookups: number;
  /** The times of the first and the last of these. */
  readonly since?: number;
  readonly last?: number;
  /** It was missing in enough lookups, over enough time. */
  readonly hasVanished: boolean;
}

export const NOT_LOOKED_UP: SourceState = { wasPresent: false, lookups: 0, hasVanished: false };

const MIN_LOOKUPS = 3;
const MIN_MISSING_MS = 3_600_000;
/** Tries with several pull secrets count as one lookup. */
const LOOKUP_INTERVAL_MS = 60_000;

/** The state after a lookup. Pure: reads no clock. */
export function afterLookup(state: SourceState, look: SourceLookup, now: number): SourceState {
  switch (look) {
    case 'unknown':
      return state;
    case 'mirrored':
      return state.wasPresent ? state : { ...state, wasPresent: true };
    case 'seen':
      return { ...NOT_LOOKED_UP, wasPresent: true };
    case 'gone':
      return state.wasPresent ? afterMissing(state, now) : state;
  }
}

function afterMissing(state: SourceState, now: number): SourceState {
  const { since, last, lookups } = state;
  // After a clock was set back, counting starts again.
  if (since === undefined || last === undefined || now < last) {
    return { ...state, lookups: 1, since: now, last: now };
  }
  if (now - last < LOOKUP_INTERVAL_MS) return state;
  const hasVanished = state.hasVanished || (lookups + 1 >= MIN_LOOKUPS && now - since >= MIN_MISSING_MS);
  return { ...state, lookups: lookups + 1, last: now, hasVanished };
}

/** The evidence of a report. A copy only requests from the source what the target lacks, unless it compares the two. */
export function lookupOf({ job, result }: CopyReport): SourceLookup {
  if (result.ok) return job.force || !result.upToDate ? 'seen' : 'mirrored';
  const { reason, host } = result.failure;
  const isRefusal = reason === 'absent' || reason === 'unauthorized' || reason === 'forbidden';
  return isRefusal && host === sourceHost(job) ? 'gone' : 'unknown';
}

/** The sources of the cluster's images that existed and are now missing. */
export class VanishedSources {
  private readonly states = new Map<string, { readonly target: string; readonly state: SourceState }>();

  constructor(private readonly now: () => number) {}

  /** @returns the state, and whether this report changed whether the source counts as vanished */
  recordCopy(report: CopyReport): SourceState & { readonly isNew: boolean } {
    const { key, target } = report.job;
    const before = this.states.get(key)?.state ?? NOT_LOOKED_UP;
    const state = afterLookup(before, lookupOf(report), this.now());
    if (state !== NOT_LOOKED_UP) this.states.set(key, { target, state });
    return { ...state, isNew: state.hasVanished !== before.hasVanished };
  }

  /** Forgets the images that nothing uses any more. */
  keep(isUsed: (key: string) => boolean): void {
    for (const key of this.states.keys()) if (!isUsed(key)) this.states.delete(key);
  }

  /** The number of vanished sources, by the name of the target. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { target, state } of this.states.values()) {
      if (state.hasVanished) counts[target] = (counts[target] ?? 0) + 1;
    }
    return counts;
  }
}
