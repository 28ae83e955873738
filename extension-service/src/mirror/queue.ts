import { needsMore, mergeJobs } from '../core/decide/mirror-job.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { CopyFailure, FailureReason } from '../registry/copy-failure.js';
import type { Copier } from './copier.js';
import { addTo, hasNewCredentials, failed, newEntry, newShare, nextResult, settle, takeNewSecrets } from './entry.js';
import type { Entry } from './entry.js';
import { HANDED_BACK_FAILURE, QueueState } from './queue-state.js';
import type { QueueOptions } from './queue-state.js';
import { countGated, countStates, oldestAsked, pausedFailure, row, rows } from './queue-view.js';
import { Runner } from './runner.js';
import { shareOf } from './share-of.js';
import type { CopyLimits } from './slots.js';
import type { MirrorResult, MirrorState, MirrorStatus } from './status.js';
import { inTime } from '../util/in-time.js';

/** The requester of a copy. Without either field, any replica may make it. */
export interface Claim {
  /** No other replica can make this copy. */
  readonly exclusive?: boolean;
  /** Stands for an admission that waits for it, until `release`. */
  readonly awaiting?: object;
}

/** Failures that new credentials may fix. */
export const CREDENTIAL_REASONS: readonly FailureReason[] = ['unauthorized', 'forbidden', 'absent'];
/** Failures that another configuration may fix: credentials, allowed hosts, how to reach a registry and push to it. */
export const CONFIGURATION_REASONS: readonly FailureReason[] = [
  ...CREDENTIAL_REASONS,
  'refused',
  'unreachable',
  'missing',
  'too-large',
  'unsupported',
  'gated',
];

const STOPPED: CopyFailure = { reason: 'stopped', message: 'the service is stopping', retryable: true };

/**
 * The in-memory queue: one copy per target reference for any number of Pods, bounded, fair between namespaces and
 * between registries, with retries by class of failure. It does not survive a restart: missing images are found again
 * in the cluster.
 */
export class MirrorQueue {
  private readonly state: QueueState;
  private readonly runner: Runner;

  constructor(copier: Copier, options: QueueOptions) {
    this.state = new QueueState(options);
    this.runner = new Runner(this.state, copier);
  }

  /**
   * Requests a copy. The promise resolves, and never rejects, with the result of the current or next attempt. It
   * resolves at once while a failure is remembered, while the copy waits for a registry that is down, or if the queue
   * is stopping or has no room for the job's namespace.
   */
  enqueue(job: MirrorJob, claim: Claim = {}): Promise<MirrorResult> {
    const isOtherReplicas = this.state.yields && claim.exclusive !== true && claim.awaiting === undefined;
    return isOtherReplicas ? Promise.resolve(failed(HANDED_BACK_FAILURE)) : this.ask(job, claim);
  }

  /** The admission no longer waits: a copy that has not started is left to another replica, if one copies. */
  release(key: string, awaiting: object): void {
    const entry = this.state.entries.get(key);
    if (entry?.awaiting.delete(awaiting) === true) this.runner.evict(entry);
  }

  /**
   * From now on another replica copies, and finds in the cluster what this one drops: everything except copies that
   * only this replica can make, or that an admission waits for. Running copies are aborted, since they might end after
   * the other replica's copy and move the tag back to an older image; no part of them is visible, because tags are
   * written last.
   *
   * @returns the unfinished copies
   */
  handBack(): MirrorJob[] {
    const { state } = this;
    if (state.draining) return [];
    state.yields = true;
    const handed = [...state.entries.values()].filter((entry) => entry.state !== 'done' && !state.keeps(entry));
    return handed.filter((entry) => state.forget(entry, HANDED_BACK_FAILURE)).map(({ job }) => job);
  }

  /** This replica makes shared copies, and retries failed ones. */
  takeOver(): void {
    this.state.yields = false;
  }

  /** All known copies, the unfinished first. */
  list(): MirrorStatus[] {
    return rows(this.state.entries.values(), this.state.pauseOf);
  }

  /** The copy with this key, if it is remembered. */
  find(key: string): MirrorStatus | undefined {
    const entry = this.state.entries.get(key);
    return entry && row(entry, this.state.pauseOf);
  }

  counts(): Record<MirrorState, number> {
    return countStates(this.state.entries.values(), this.state.pauseOf);
  }

  /** Copies that gates hold or have denied, as far as they are remembered. */
  gated(): ReturnType<typeof countGated> {
    return countGated(this.state.entries.values());
  }

  /**
   * Milliseconds since the request for the oldest copy that is not running, finished or held by a gate; 0 if there is
   * none.
   */
  oldestAge(): number {
    const now = this.state.now();
    return now - (oldestAsked(this.state.entries.values()) ?? now);
  }

  setLimits(limits: CopyLimits): void {
    this.state.lanes.configure(limits);
    this.runner.pump();
  }

  /**
   * Retries failures with one of these reasons at once, because a change may have fixed them. With `namespaces`, only
   * copies that were tried with pull secrets of these.
   */
  retryNow(reasons: readonly FailureReason[], namespaces?: ReadonlySet<string>): void {
    const { state, runner } = this;
    if (state.draining) return;
    if (reasons.includes('unreachable')) state.pauses.reset();
    for (const entry of [...state.entries.values()]) {
      const isFailure = entry.failure !== undefined && reasons.includes(entry.failure.reason);
      if (entry.state !== 'running' && !isFailure) continue;
      if (namespaces !== undefined && !takeNewSecrets(entry, namespaces)) continue;
      // A running copy may have started before the change.
      if (entry.state === 'running') entry.fixed = reasons;
      else if (!state.keeps(entry)) state.forget(entry, HANDED_BACK_FAILURE);
      else if (entry.state === 'failed') void this.admit(entry.job, { exclusive: entry.exclusive });
      else if (entry.state === 'waiting') runner.requeue(entry);
    }
    runner.pump();
  }

  /**
   * Stops: accepts nothing new, lets running copies finish within `grace` milliseconds, and hands back the rest.
   * @returns the jobs that were not finished
   */
  async stop(grace: number): Promise<MirrorJob[]> {
    const { state, runner } = this;
    state.draining = true;
    for (const entry of state.entries.values()) entry.cancel?.();
    const waiting = state.lanes.removeAll();
    if (!state.lanes.isIdle && grace > 0) await inTime(runner.untilIdle(), grace, () => undefined);
    const unfinished = [...state.entries.values()].filter(
      (entry) => entry.state !== 'done' && entry.state !== 'failed',
    );
    for (const entry of unfinished) entry.abort?.abort();
    for (const entry of waiting) settle(entry, failed(STOPPED));
    return unfinished.map(({ job }) => job);
  }

  private ask(job: MirrorJob, claim: Claim): Promise<MirrorResult> {
    const known = this.state.entries.get(job.key);
    if (known === undefined) return this.admit(job, claim);
    switch (known.state) {
      case 'queued':
        known.job = addTo(known, job);
        this.claim(known, job, claim);
        this.runner.pump();
        return this.wait(known);
      case 'running':
        // A forced copy must get the source's current content, and a more thorough check finds more, so it runs again
        // after this one.
        if (needsMore(job, known.job)) known.again = mergeJobs(known.again ?? known.job, job);
        this.claim(known, job, claim);
        return nextResult(known);
      case 'waiting':
        known.job = addTo(known, job);
        known.exclusive ||= claim.exclusive ?? false;
        if (!hasNewCredentials(known, job)) return Promise.resolve(failed(known.failure));
        this.claim(known, job, claim);
        this.runner.requeue(known);
        return this.wait(known);
      case 'failed':
        if ((known.nextTry ?? 0) > this.state.now() && !hasNewCredentials(known, job)) {
          return Promise.resolve(failed(known.failure));
        }
        return this.admit(job, claim, known);
      case 'done':
        return this.admit(job, claim);
    }
  }

  private claim(entry: Entry, job: MirrorJob, { exclusive = false, awaiting }: Claim): void {
    const share = newShare(entry, job);
    if (share !== undefined) this.state.lanes.join(entry, share);
    entry.exclusive ||= exclusive;
    if (awaiting === undefined) return;
    entry.awaiting.add(awaiting);
    if (entry.state === 'queued') this.state.lanes.prefer(entry);
  }

  private admit(job: MirrorJob, claim: Claim, before?: Entry): Promise<MirrorResult> {
    const { state } = this;
    if (state.draining) return Promise.resolve(failed(STOPPED));
    if (!this.makeRoom(job)) {
      state.events.onRefused?.(job);
      return Promise.resolve(failed(this.full(job)));
    }
    state.forgetOldest();
    // Re-inserted at the end, so that the map's order is the order of forgetting.
    state.entries.delete(job.key);
    const entry = newEntry(job, state.now(), before);
    state.entries.set(job.key, entry);
    state.shares.add(entry);
    this.claim(entry, job, claim);
    state.lanes.add(entry);
    const result = this.wait(entry);
    this.runner.pump();
    return result;
  }

  /** @returns whether the job's namespace may have one more place */
  private makeRoom(job: MirrorJob): boolean {
    const { state } = this;
    for (;;) {
      const verdict = state.shares.admit(job);
      if (verdict === 'room' || verdict === 'full') return verdict === 'room';
      state.forget(verdict, this.full(verdict.job));
      state.events.onRefused?.(verdict.job);
    }
  }

  private full(job: MirrorJob): CopyFailure {
    const share = shareOf(job);
    const largestShare = share === '' ? '' : `, and namespace ${share} has the largest share`;
    const message = `${job.source}: the mirror queue is full (${this.state.shares.capacity})${largestShare}; the image is mirrored on the next request`;
    return { reason: 'internal', message, retryable: true };
  }

  /** A request while the registry is down gets its answer at once. */
  private wait(entry: Entry): Promise<MirrorResult> {
    const pause = this.state.pauseOf(entry.job);
    if (pause === undefined) return nextResult(entry);
    entry.awaiting.clear();
    this.runner.evict(entry);
    return Promise.resolve(failed(pausedFailure(entry.job, pause)));
  }
}
