import { CopyFailedError } from '../registry/copy-failure.js';
import type { CopyFailure, FailureReason } from '../registry/copy-failure.js';
import type { CopyProgress } from './copier.js';
import { mergeJobs } from '../core/decide/mirror-job.js';
import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import type { MirrorResult, MirrorState } from './status.js';
import { messageOf } from '../util/message-of.js';
import { placesOf, shareOf } from './share-of.js';

/** Maximum pull contexts in an entry; they come from Pods, and so does their length. */
const MAX_TRIED_PULLS = 100;
const MAX_TRIED_CHARACTERS = 262_144;
/** Maximum for one namespace: its Pods must not use up the room of others. */
const MAX_TRIED_OF_NAMESPACE = 20;
const MAX_CHARACTERS_OF_NAMESPACE = 16_384;
/** Maximum namespaces in an entry by name; others wait with these. */
const MAX_SHARES = 8;

/** A copy in the queue, from its first request until it is forgotten. */
export interface Entry {
  job: MirrorJob;
  /** The namespace whose share of the queue it uses: the first requester's. */
  readonly share: string;
  /** Places that it takes in the queue. */
  readonly places: number;
  /** Namespaces in whose turn it may run. */
  readonly shares: Set<string>;
  /** The namespace whose copy slot it holds while it runs. */
  slot?: string;
  /** How often the background worker ended because of it, as far as known. */
  crashes: number;
  /** The background worker ended while it ran: it only runs while no other suspect does. */
  isSuspect: boolean;
  state: MirrorState;
  attempts: number;
  /** Start of its current state; for a queued copy, the time of the request. */
  since: number;
  /** Time of the request. */
  readonly asked: number;
  progress?: CopyProgress;
  failure?: CopyFailure;
  nextTry?: number;
  digest?: string;
  unfinished?: readonly string[];
  /** Ends the wait for the next attempt. */
  cancel?: () => void;
  /** The job to run again when this one is done. */
  again?: MirrorJob;
  /** No other replica can make this copy. */
  exclusive: boolean;
  /** Admissions that wait for it: it goes first, and no other replica sees their Pods before the answer. */
  readonly awaiting: Set<object>;
  /** Aborts the running attempt. */
  abort?: AbortController;
  /** Failures that a change during the run may have fixed. */
  fixed?: readonly FailureReason[];
  /** Pull contexts that were tried since the entry was created. */
  readonly triedPulls: Map<string, PullContext | undefined>;
  /** Keys of the pull contexts with which the source did not return the image. */
  readonly refused: Set<string>;
  waiters: ((result: MirrorResult) => void)[];
}

export function newEntry(job: MirrorJob, now: number, before?: Entry): Entry {
  return {
    job,
    share: shareOf(job),
    places: placesOf(job),
    shares: new Set([shareOf(job)]),
    crashes: before?.crashes ?? 0,
    isSuspect: before?.isSuspect ?? false,
    state: 'queued',
    attempts: 0,
    since: now,
    asked: now,
    exclusive: false,
    awaiting: new Set(),
    triedPulls: new Map(before?.triedPulls),
    refused: new Set(before?.refused),
    waiters: [],
  };
}

/** Resolves with the result of the current or next attempt. */
export function nextResult(entry: Entry): Promise<MirrorResult> {
  return new Promise((resolve) => entry.waiters.push(resolve));
}

export function settle(entry: Entry, result: MirrorResult): void {
  entry.awaiting.clear();
  for (const resolve of entry.waiters.splice(0)) resolve(result);
}

export function failed(failure: CopyFailure | undefined): MirrorResult {
  return { ok: false, failure: failure ?? { reason: 'internal', message: 'the copy failed', retryable: true } };
}

export function recordTried(entry: Entry): void {
  entry.triedPulls.set(pullKey(entry.job), entry.job.pull);
}

/** The attempt failed; records whether its pull secrets could not read the image. */
export function recordRefused(entry: Entry, { job, reason }: { job: MirrorJob; reason: FailureReason }): void {
  if (NO_ACCESS_REASONS.has(reason)) entry.refused.add(pullKey(job));
}

/**
 * Merges another request into a copy that has not started. Its pull secrets only replace those that the source has
 * rejected: a namespace that names another's private image must not make the copy fail.
 */
export function addTo({ job: known, refused }: Entry, job: MirrorJob): MirrorJob {
  const merged = mergeJobs(known, job);
  const isGood = (one: MirrorJob): boolean =>
    one.pull !== undefined && one.pull.unproven !== true && !refused.has(pullKey(one));
  return isGood(known) && known.pull !== undefined ? { ...merged, pull: known.pull } : merged;
}

/**
 * A tried pull context may work now, because the secrets of these namespaces changed.
 * @returns whether this is so; the next attempt uses them
 */
export function takeNewSecrets(entry: Entry, namespaces: ReadonlySet<string>): boolean {
  const { job, triedPulls } = entry;
  const changed = [...triedPulls].filter(([, pull]) => pull !== undefined && namespaces.has(pull.namespace));
  for (const [key] of changed) {
    triedPulls.delete(key);
    entry.refused.delete(key);
  }
  if (job.pull !== undefined && namespaces.has(job.pull.namespace)) return true;
  const pull = changed.at(-1)?.[1];
  if (pull === undefined) return false;
  entry.job = { ...job, pull };
  return true;
}

/** Registries answer "not found" to callers that may not read, so another Pod's pull secrets may also help then. */
export function hasNewCredentials(known: Entry, job: MirrorJob): boolean {
  const reason = known.failure?.reason;
  if (reason === undefined || !NO_ACCESS_REASONS.has(reason) || job.pull === undefined) return false;
  return hasTriedMore(known, job.pull.namespace) && !known.triedPulls.has(pullKey(job));
}

const NO_ACCESS_REASONS: ReadonlySet<FailureReason> = new Set(['unauthorized', 'forbidden', 'absent']);

function hasTriedMore({ triedPulls }: Entry, namespace: string): boolean {
  const all = [...triedPulls];
  const own = all.filter(([, pull]) => pull?.namespace === namespace);
  const characters = (some: typeof all): number => some.reduce((sum, [key]) => sum + key.length, 0);
  return (
    all.length < MAX_TRIED_PULLS &&
    characters(all) < MAX_TRIED_CHARACTERS &&
    own.length < MAX_TRIED_OF_NAMESPACE &&
    characters(own) < MAX_CHARACTERS_OF_NAMESPACE
  );
}

/** The namespace of a job that requests an already requested copy; undefined if it shares the others' wait. */
export function newShare({ shares }: Entry, job: MirrorJob): string | undefined {
  const share = shareOf(job);
  return shares.has(share) || shares.size >= MAX_SHARES ? undefined : share;
}

function pullKey(job: MirrorJob): string {
  return JSON.stringify(job.pull ?? null);
}

export function describeFailure(error: unknown, job: MirrorJob): CopyFailure {
  if (error instanceof CopyFailedError) return error.failure;
  const message = `${job.source}: ${messageOf(error)}`;
  return { reason: 'internal', message, retryable: true };
}
