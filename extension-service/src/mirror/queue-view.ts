import type { GateVerdict } from '../registry/copy-failure.js';
import type { Entry } from './entry.js';
import type { HostPause } from './host-pauses.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import { copyStatus } from './status.js';
import type { MirrorState, MirrorStatus } from './status.js';

/** The registry that a queued copy waits for, if any. */
type PauseOf = (job: MirrorJob) => HostPause | undefined;

const ORDER: Readonly<Record<MirrorState, number>> = { running: 0, queued: 1, waiting: 2, failed: 3, done: 4 };

/** Unfinished copies first, the newest of each state first. */
export function rows(entries: Iterable<Entry>, pauseOf: PauseOf): MirrorStatus[] {
  return [...entries]
    .map((entry) => row(entry, pauseOf))
    .sort((a, b) => ORDER[a.state] - ORDER[b.state] || b.since - a.since);
}

/** Copies that are queued for an unreachable registry are shown as waiting. */
export function row(entry: Entry, pauseOf: PauseOf): MirrorStatus {
  const { job } = entry;
  const pause = entry.state === 'queued' ? pauseOf(job) : undefined;
  return {
    source: job.source,
    target: job.target,
    reference: job.reference.text,
    ...copyStatus({
      ...entry,
      ...(pause !== undefined && {
        state: 'waiting' as const,
        nextTry: pause.until,
        failure: entry.failure ?? pausedFailure(job, pause),
        waitsFor: { host: pause.host, reason: pause.failure.reason },
      }),
    }),
  };
}

/** The result for callers that request a copy while its registry is down. */
export function pausedFailure({ source }: MirrorJob, { host, failure }: HostPause): HostPause['failure'] {
  return { ...failure, message: `${source}: waiting, like all copies from ${host}: ${failure.message}` };
}

export function countStates(entries: Iterable<Entry>, pauseOf: PauseOf): Record<MirrorState, number> {
  const counts: Record<MirrorState, number> = { queued: 0, running: 0, waiting: 0, failed: 0, done: 0 };
  for (const { state, job } of entries) {
    counts[state === 'queued' && pauseOf(job) !== undefined ? 'waiting' : state] += 1;
  }
  return counts;
}

/** Copies that gates hold or have denied, by target name and verdict. */
export function countGated(
  entries: Iterable<Entry>,
): readonly { readonly target: string; readonly verdict: GateVerdict['verdict']; readonly count: number }[] {
  const counts = new Map<string, { target: string; verdict: GateVerdict['verdict']; count: number }>();
  for (const { job, state, failure } of entries) {
    if (failure?.gate === undefined || state === 'done') continue;
    const { target } = job;
    const { verdict } = failure.gate;
    const key = `${verdict} ${target}`;
    const count = (counts.get(key)?.count ?? 0) + 1;
    counts.set(key, { target, verdict, count });
  }
  return [...counts.values()];
}

/**
 * The request time of the oldest copy that is not running, finished or held by a gate, in milliseconds since the epoch.
 */
export function oldestAsked(entries: Iterable<Entry>): number | undefined {
  let oldest: number | undefined;
  for (const { state, asked, failure } of entries) {
    if (failure?.reason === 'gated') continue;
    if ((state === 'queued' || state === 'waiting') && asked < (oldest ?? Infinity)) oldest = asked;
  }
  return oldest;
}
