import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { CopyFailure } from '../registry/copy-failure.js';
import { followUp } from './after-attempt.js';
import type { FollowUp } from './after-attempt.js';
import type { Copier } from './copier.js';
import { CrashCounter } from './crash-counter.js';
import { describeFailure, failed, recordRefused, recordTried, settle } from './entry.js';
import type { Entry } from './entry.js';

import type { HostPause, TrialHosts } from './host-pauses.js';
import { pausedFailure } from './queue-view.js';
import { HANDED_BACK_FAILURE } from './queue-state.js';
import { hostTimeout } from './retry.js';
import type { QueueState } from './queue-state.js';
import type { MirrorResult } from './status.js';

/**
 * Maximum duration of a copy. 10 GB at 1 Mbit/s take 22 hours, and content that has reached the target by then is not
 * sent again.
 */
export const MAX_COPY_MS = 24 * 3_600_000;

/** Runs waiting copies, and decides what follows from each attempt. */
export class Runner {
  private readonly running = new Set<Entry>();
  private readonly crashes = new CrashCounter();
  private idle: (() => void)[] = [];

  constructor(
    private readonly state: QueueState,
    private readonly copier: Copier,
  ) {}

  pump(): void {
    const { state } = this;
    while (!state.draining) {
      const suspectRuns = [...this.running].some(({ isSuspect }) => isSuspect);
      const entry = state.lanes.take(
        ({ job, isSuspect }) => !(isSuspect && suspectRuns) && state.pauseOf(job) === undefined,
      );
      if (entry === undefined) return;
      void this.run(entry);
    }
  }

  requeue(entry: Entry): void {
    entry.cancel?.();
    delete entry.cancel;
    // Attempts after a gate's hold count from one again.
    if (entry.failure?.reason === 'gated') entry.attempts = 0;
    this.state.requeue(entry);
    this.pump();
  }

  /** Stops waiting; the copying replica takes over. */
  evict(entry: Entry): void {
    if (this.state.keeps(entry) || (entry.state !== 'queued' && entry.state !== 'waiting')) return;
    this.state.forget(entry, HANDED_BACK_FAILURE);
  }

  /** Resolves when no copy is running. */
  untilIdle(): Promise<void> {
    return this.state.lanes.isIdle ? Promise.resolve() : new Promise((resolve) => this.idle.push(resolve));
  }

  private async run(entry: Entry): Promise<void> {
    const { state } = this;
    const { job } = entry;
    const trials = state.pauses.begin(job);
    this.running.add(entry);
    entry.state = 'running';
    entry.attempts += 1;
    entry.since = state.now();
    delete entry.nextTry;
    delete entry.progress;
    delete entry.fixed;
    recordTried(entry);
    const tried = await this.copy(entry, trials);
    const tooLong = tried.ok ? undefined : hostTimeout(state.retry, tried.failure, state.now());
    const result = tooLong === undefined ? tried : failed(tooLong);
    if (!result.ok) recordRefused(entry, { job, reason: result.failure.reason });
    const isCrash = !result.ok && this.isCharged(entry, result.failure);
    delete entry.abort;
    this.running.delete(entry);
    state.lanes.release(entry, job);
    const milliseconds = state.now() - entry.since;
    const pause = state.draining ? undefined : state.pauses.ended(job, result, trials);
    const isHostDown = tooLong !== undefined || (pause !== undefined && pause.failures >= state.retry.attempts);
    // A copy that was aborted for another replica does not count as an attempt; it is already forgotten, or requested
    // again.
    if (state.entries.get(job.key) === entry) {
      const isFinal = this.apply(entry, result, followUp(state, entry, result, { isHostDown, isCrash }));
      state.events.onDone?.(job, result, milliseconds, entry.attempts, isFinal);
      settle(entry, result);
    }
    if (pause !== undefined) this.wakeAfter(pause);
    if (isHostDown && pause !== undefined) this.abandon(pause);
    if (state.lanes.isIdle) for (const resolve of this.idle.splice(0)) resolve();
    this.pump();
  }

  private async copy(entry: Entry, trials: TrialHosts): Promise<MirrorResult> {
    const { state } = this;
    const { job } = entry;
    const abort = new AbortController();
    entry.abort = abort;
    let isOverdue = false;
    const cancelEnd = state.after(MAX_COPY_MS, () => {
      isOverdue = true;
      abort.abort();
    });
    try {
      const outcome = await this.copier.copy(job, abort.signal, (progress) => {
        entry.progress = progress;
        // Bytes that arrived in the target prove that both registries answer.
        if (progress.transferred > 0 && state.pauses.answered(job, trials)) this.pump();
      });
      return { ok: true, outcome };
    } catch (error) {
      return failed(isOverdue ? timeoutFailure(job) : describeFailure(error, job));
    } finally {
      cancelEnd();
    }
  }

  private isCharged(entry: Entry, { endedWorker }: CopyFailure): boolean {
    return endedWorker !== undefined && this.crashes.charge(endedWorker, entry, () => [...this.running]);
  }

  /** @returns whether no further attempt is planned */
  private apply(entry: Entry, result: MirrorResult, next: FollowUp): boolean {
    const { state } = this;
    if (result.ok) {
      delete entry.failure;
      entry.digest = result.outcome.digest;
      const unfinished = result.outcome.unfinished?.map(({ what }) => what) ?? [];
      delete entry.unfinished;
      if (unfinished.length > 0) entry.unfinished = unfinished;
      entry.isSuspect = false;
      entry.crashes = 0;
    } else entry.failure = result.failure;
    switch (next.do) {
      case 'copy-again':
        entry.job = entry.again ?? entry.job;
        delete entry.again;
        state.requeue(entry);
        return false;
      case 'queue':
        state.requeue(entry);
        return false;
      case 'wait':
        entry.state = 'waiting';
        entry.nextTry = state.now() + next.delay;
        entry.cancel = state.after(next.delay, () => this.requeue(entry));
        return false;
      case 'finish':
        entry.state = 'done';
        entry.since = state.now();
        state.shares.remove(entry);
        return true;
      case 'give-up':
        state.close(entry, next.failure, next.pause);
        return true;
    }
  }

  /** Until then no request waits for a registry that does not answer. */
  private wakeAfter(pause: HostPause): void {
    this.scheduleAt(pause.until);
    for (const entry of this.state.lanes.of(pause.host)) {
      settle(entry, failed(pausedFailure(entry.job, pause)));
      this.evict(entry);
    }
  }

  /** A timer uses the loop's time, which is behind the clock's: it may fire shortly before the pause is over. */
  private scheduleAt(time: number): void {
    const { now, after } = this.state;
    after(Math.max(1, time - now()), () => {
      if (now() < time) this.scheduleAt(time);
      else this.pump();
    });
  }

  /** Abandons copies that wait for a registry that stays down; they are remembered as failed. */
  private abandon({ host, failure }: HostPause): void {
    const { state } = this;
    for (const entry of state.lanes.remove(host)) {
      const message = `${entry.job.source}: abandoned, like all copies from ${host}: ${failure.message}`;
      const own = { ...failure, message };
      state.close(entry, own);
      state.events.onDone?.(entry.job, failed(own), 0, 0, true);
      settle(entry, failed(own));
    }
  }
}

function timeoutFailure({ source }: MirrorJob): CopyFailure {
  const hours = MAX_COPY_MS / 3_600_000;
  const message = `${source}: the copy did not finish within ${hours} hours; the next attempt skips the parts that the target already has`;
  return { reason: 'unreachable', message, retryable: true };
}
