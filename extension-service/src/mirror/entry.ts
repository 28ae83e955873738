import { CopyFailedError } from '../registry/copy-failure.js';
import type { CopyFailure, FailureReason } from '../registry/copy-failure.js';
import type { CopyProgress } from './copier.js';
import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import type { MirrorResult, MirrorState } from './status.js';
import { messageOf } from '../util/message-of.js';
import { placesOf, shareOf } from './share-of.js';

/** Pull contexts that an entry remembers; they come from Pods, and so does their length. */
const MAX_TRIED = 100;
const MAX_TRIED_CHARACTERS = 65_536;
/** Namespaces that a copy waits for by name; more of them wait with these. */
const MAX_SHARES = 8;

/** A copy in the queue, from its first request until it is forgotten. */
export interface Entry {
  job: MirrorJob;
  /** The namespace whose share of the queue it uses: the first that asked. */
  readonly share: string;
  /** Places that it takes there. */
  readonly places: number;
  /** Namespaces in whose turn it may run. */
  readonly shares: Set<string>;
  /** The namespace whose copy slot it holds while it runs. */
  slot?: string;
  /** Times that the background worker ended because of it, as far as that can be known. */
  crashes: number;
  /** The background worker ended while it ran: it runs while no other suspect does. */
  isSuspect: boolean;
  state: MirrorState;
  attempts: number;
  /** Since when it is in this state; for what is queued, since when it was asked for. */
  since: number;
  /** When it was asked for. */
  readonly asked: number;
  progress?: CopyProgress;
  failure?: CopyFailure;
  nextTry?: number;
  digest?: string;
  unfinished?: readonly string[];
  /** Ends the wait for the next try. */
  cancel?: () => void;
  /** Run once more, so, when it is done. */
  again?: MirrorJob;
  /** No other replica can make this copy. */
  ours: boolean;
  /** Admissions that wait for it: it goes first, and no other replica sees their Pods before they have their answer. */
  readonly awaiting: Set<object>;
  /** Breaks off the try that runs. */
  abort?: AbortController;
  /** Failures that something which changed during the run may have mended. */
  mended?: readonly FailureReason[];
  /** Pull contexts that were tried since the entry was made. */
  readonly tried: Map<string, PullContext | undefined>;
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
    ours: false,
    awaiting: new Set(),
    tried: new Map(before?.tried),
    waiters: [],
  };
}

/** Resolves with the result of the try that is under way or next. */
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

export function noteTried(entry: Entry): void {
  entry.tried.set(pullKey(entry.job), entry.job.pull);
}

/**
 * Something that was tried may be pulled now: what changed are the secrets of these namespaces. @returns whether it is so;
 * the next try is made with them
 */
export function takeNewSecrets(entry: Entry, namespaces: ReadonlySet<string>): boolean {
  const { job, tried } = entry;
  const changed = [...tried].filter(([, pull]) => pull !== undefined && namespaces.has(pull.namespace));
  for (const [key] of changed) tried.delete(key);
  if (job.pull !== undefined && namespaces.has(job.pull.namespace)) return true;
  const pull = changed.at(-1)?.[1];
  if (pull === undefined) return false;
  entry.job = { ...job, pull };
  return true;
}

/** Registries say "not found" to whoever may not read, so that too may be mended by another Pod's pull secrets. */
export function bringsNewCredentials(known: Entry, job: MirrorJob): boolean {
  const reason = known.failure?.reason;
  if (reason !== 'unauthorized' && reason !== 'forbidden' && reason !== 'absent') return false;
  return job.pull !== undefined && remembersMore(known) && !known.tried.has(pullKey(job));
}

function remembersMore({ tried }: Entry): boolean {
  let characters = 0;
  for (const key of tried.keys()) characters += key.length;
  return tried.size < MAX_TRIED && characters < MAX_TRIED_CHARACTERS;
}

/** The namespace of a job that asks for a copy which others asked for before; undefined when it waits with them. */
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
