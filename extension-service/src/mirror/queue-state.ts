import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { CopyFailure } from '../registry/copy-failure.js';
import { failed, settle } from './entry.js';
import type { Entry } from './entry.js';
import { HostPauses } from './host-pauses.js';
import type { HostPause } from './host-pauses.js';
import { Lanes } from './lanes.js';
import type { RetryPolicy } from './retry.js';
import { DEFAULT_RETRY, waitAsked } from './retry.js';
import { QueueShares } from './shares.js';
import type { CopyLimits } from './slots.js';
import type { MirrorResult } from './status.js';

export interface QueueEvents {
  /**
   * An attempt has ended, or, as attempt 0, the copy was abandoned without one because its registry is down. `final` if
   * no further attempt is planned.
   */
  onDone?(job: MirrorJob, result: MirrorResult, milliseconds: number, attempt: number, final: boolean): void;
  /** The queue is full, or gave this copy's place to another namespace. */
  onRefused?(job: MirrorJob): void;
}

export interface QueueOptions extends CopyLimits {
  /** Maximum copies that are queued, running or waiting; more are rejected. @default 10000 */
  readonly capacity?: number;
  readonly retry?: RetryPolicy;
  readonly events?: QueueEvents;
  readonly now?: () => number;
  readonly random?: () => number;
  /** Calls back after milliseconds; returns a function that cancels it. */
  readonly after?: (milliseconds: number, callback: () => void) => () => void;
}

export const HANDED_BACK_FAILURE: CopyFailure = {
  reason: 'stopped',
  message: 'left to another replica',
  retryable: true,
};

/** Maximum finished copies to remember. */
const MAX_REMEMBERED = 500;

/** The state of the queue, with the steps that its parts share. */
export class QueueState {
  readonly entries = new Map<string, Entry>();
  readonly lanes: Lanes;
  readonly pauses: HostPauses;
  readonly shares: QueueShares;
  readonly retry: RetryPolicy;
  readonly events: QueueEvents;
  readonly now: () => number;
  readonly random: () => number;
  readonly after: NonNullable<QueueOptions['after']>;
  draining = false;
  /** Another replica makes shared copies. */
  yields = false;

  constructor(options: QueueOptions) {
    this.now = options.now ?? Date.now;
    this.random = options.random ?? Math.random;
    this.after = options.after ?? setUnrefTimeout;
    this.retry = options.retry ?? DEFAULT_RETRY;
    this.events = options.events ?? {};
    this.lanes = new Lanes(options);
    this.pauses = new HostPauses(this.retry, this.now, this.random);
    this.shares = new QueueShares(options.capacity ?? 10_000);
  }

  /** The registry that a job waits for. */
  readonly pauseOf = (job: MirrorJob): HostPause | undefined => this.pauses.of(job);

  /** Whether this replica makes the copy even if another replica leads. */
  keeps({ exclusive, awaiting }: Entry): boolean {
    return !this.yields || exclusive || awaiting.size > 0;
  }

  /** @param failure for waiting requests. @returns whether it was still in progress */
  forget(entry: Entry, failure: CopyFailure): boolean {
    this.entries.delete(entry.job.key);
    if (entry.state === 'failed') return false;
    this.shares.remove(entry);
    entry.cancel?.();
    this.lanes.drop(entry);
    entry.abort?.abort();
    settle(entry, failed(failure));
    return true;
  }

  /** No further attempt is planned; a request within the pause gets this failure. */
  close(entry: Entry, failure: CopyFailure, pause = this.retry.pause): void {
    entry.failure = failure;
    entry.state = failure.reason === 'stopped' ? 'queued' : 'failed';
    entry.since = this.now();
    entry.nextTry = entry.since + Math.max(pause, waitAsked(this.retry, failure));
    this.shares.remove(entry);
  }

  requeue(entry: Entry): void {
    delete entry.nextTry;
    entry.state = 'queued';
    entry.since = this.now();
    this.lanes.add(entry);
  }

  /** Limits the finished ones: the oldest are dropped first. */
  forgetOldest(): void {
    let excess = this.entries.size - this.shares.size - MAX_REMEMBERED;
    if (excess < 0) return;
    for (const [key, entry] of this.entries) {
      if (excess < 0) return;
      if (entry.state !== 'done' && entry.state !== 'failed') continue;
      this.entries.delete(key);
      excess -= 1;
    }
  }
}

/** Does not keep the process alive. */
function setUnrefTimeout(milliseconds: number, callback: () => void): () => void {
  const timer = setTimeout(callback, milliseconds);
  timer.unref();
  return () => clearTimeout(timer);
}
