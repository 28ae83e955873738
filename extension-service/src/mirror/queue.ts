import {
  bringsNewCredentials,
  describeFailure,
  failed,
  merge,
  newEntry,
  nextResult,
  noteTried,
  settle,
  takeNewSecrets,
} from './entry.js';
import type { Entry } from './entry.js';
import { DEFAULT_RETRY, retryDelay } from './retry.js';
import type { CopyFailure, FailureReason } from '../registry/copy-failure.js';
import type { RetryPolicy } from './retry.js';
import { HostPauses } from './host-pauses.js';
import type { HostPause } from './host-pauses.js';
import type { Copier } from './copier.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import { Lanes } from './lanes.js';
import type { CopyLimits } from './lanes.js';
import { countStates, oldestAsked, pausedFailure, row, rows } from './queue-view.js';
import type { MirrorResult, MirrorState, MirrorStatus } from './status.js';

export interface QueueEvents {
  /**
   * A try has ended, or, as attempt 0, the copy was given up without one because its registry is away. `final` when no
   * further try is planned.
   */
  onDone?(job: MirrorJob, result: MirrorResult, milliseconds: number, attempt: number, final: boolean): void;
  /** The queue is full. */
  onRefused?(job: MirrorJob): void;
}

export interface QueueOptions extends CopyLimits {
  /** Copies that may be queued, running or waiting; more are not accepted. @default 10000 */
  readonly capacity?: number;
  readonly retry?: RetryPolicy;
  readonly events?: QueueEvents;
  readonly now?: () => number;
  readonly random?: () => number;
  /** Calls back after milliseconds; gives what cancels it. */
  readonly after?: (milliseconds: number, callback: () => void) => () => void;
}

/** Who needs a copy. Without either it is one that any replica may make. */
export interface Claim {
  /** Nobody else would ever copy it in our stead. */
  readonly ours?: boolean;
  /** Stands for an admission that waits for it, until `letGo`. */
  readonly awaiting?: object;
}

/** Finished copies that are remembered. */
const REMEMBERED = 500;
const HANDED_BACK: CopyFailure = { reason: 'stopped', message: 'left to another replica', retryable: true };

/** Failures that new credentials may mend. */
export const CREDENTIAL_REASONS: readonly FailureReason[] = ['unauthorized', 'forbidden', 'absent'];
/** Failures that another configuration may mend: credentials, hosts that are allowed, how a registry is reached. */
export const CONFIGURATION_REASONS: readonly FailureReason[] = [...CREDENTIAL_REASONS, 'refused', 'unreachable'];

const STOPPED: CopyFailure = { reason: 'stopped', message: 'the service is stopping', retryable: true };

/**
 * The in-memory queue: one copy per target reference however many Pods ask, bounded, fair between registries, with classed
 * retries. It keeps no promise over a restart: what must be mirrored is found again in the cluster.
 */
export class MirrorQueue {
  private readonly entries = new Map<string, Entry>();
  private readonly lanes: Lanes;
  private readonly pauses: HostPauses;
  private readonly now: () => number;
  private readonly random: () => number;
  private readonly after: NonNullable<QueueOptions['after']>;
  private readonly capacity: number;
  private readonly retry: RetryPolicy;
  private open = 0;
  private draining = false;
  /** Another replica copies what any replica may. */
  private yields = false;
  private idle: (() => void)[] = [];

  /** The registry that a job waits for. */
  private readonly pauseOf = (job: MirrorJob): HostPause | undefined => this.pauses.of(job);

  constructor(
    private readonly copier: Copier,
    private readonly options: QueueOptions,
  ) {
    this.now = options.now ?? Date.now;
    this.random = options.random ?? Math.random;
    this.after = options.after ?? afterUnref;
    this.capacity = options.capacity ?? 10_000;
    this.retry = options.retry ?? DEFAULT_RETRY;
    this.lanes = new Lanes(options);
    this.pauses = new HostPauses(this.retry, this.now, this.random);
  }

  /**
   * Asks for a copy. The promise resolves, and never rejects, with the result of the try that is under way or next; at
   * once while a failure is remembered, while the copy waits for a registry that is away, or when the queue is full or
   * stopping.
   */
  enqueue(job: MirrorJob, claim: Claim = {}): Promise<MirrorResult> {
    const isOthers = this.yields && claim.ours !== true && claim.awaiting === undefined;
    return isOthers ? Promise.resolve(failed(HANDED_BACK)) : this.ask(job, claim);
  }

  /** The admission does not wait any more: what has not begun is another replica's, if one copies. */
  letGo(key: string, awaiting: object): void {
    const entry = this.entries.get(key);
    if (entry?.awaiting.delete(awaiting) === true) this.yieldUp(entry);
  }

  /**
   * From now on another replica copies, and finds in the cluster what this one forgets: everything but what nobody else
   * would copy, or an admission waits for. What runs is broken off, since it might end later than the other replica's copy
   * and put an older image under the tag; nothing is visible of it, as tags come last.
   *
   * @returns what had not ended
   */
  handBack(): MirrorJob[] {
    if (this.draining) return [];
    this.yields = true;
    const handed = [...this.entries.values()].filter((entry) => entry.state !== 'done' && !this.keeps(entry));
    return handed.filter((entry) => this.forget(entry)).map(({ job }) => job);
  }

  /** This replica copies what any may, and goes on with what fails. */
  takeOver(): void {
    this.yields = false;
  }

  private keeps({ ours, awaiting }: Entry): boolean {
    return !this.yields || ours || awaiting.size > 0;
  }

  /** @returns whether it had not ended */
  private forget(entry: Entry): boolean {
    this.entries.delete(entry.job.key);
    if (entry.state === 'failed') return false;
    this.open -= 1;
    entry.cancel?.();
    this.lanes.drop(entry);
    entry.abort?.abort();
    settle(entry, failed(HANDED_BACK));
    return true;
  }

  private yieldUp(entry: Entry): void {
    if (!this.keeps(entry) && (entry.state === 'queued' || entry.state === 'waiting')) this.forget(entry);
  }

  private claim(entry: Entry, { ours = false, awaiting }: Claim): void {
    entry.ours ||= ours;
    if (awaiting === undefined) return;
    entry.awaiting.add(awaiting);
    if (entry.state === 'queued') this.lanes.prefer(entry);
  }

  private ask(job: MirrorJob, claim: Claim): Promise<MirrorResult> {
    const known = this.entries.get(job.key);
    if (known === undefined) return this.admit(job, claim);
    switch (known.state) {
      case 'queued':
        known.job = merge(known.job, job);
        this.claim(known, claim);
        return this.wait(known);
      case 'running':
        // Whoever forces a copy wants what the source has from now on: run once more after this one.
        if (job.force && !known.job.force) known.again = true;
        this.claim(known, claim);
        return nextResult(known);
      case 'waiting':
        known.job = merge(known.job, job);
        known.ours ||= claim.ours ?? false;
        if (!bringsNewCredentials(known, job)) return Promise.resolve(failed(known.failure));
        this.claim(known, claim);
        this.requeue(known);
        return this.wait(known);
      case 'failed':
        if ((known.nextTry ?? 0) > this.now() && !bringsNewCredentials(known, job)) {
          return Promise.resolve(failed(known.failure));
        }
        return this.admit(job, claim, known);
      case 'done':
        return this.admit(job, claim);
    }
  }

  /** Everything that is known, the unfinished first. */
  list(): MirrorStatus[] {
    return rows(this.entries.values(), this.pauseOf);
  }

  /** The copy with this key, if it is remembered. */
  find(key: string): MirrorStatus | undefined {
    const entry = this.entries.get(key);
    return entry && row(entry, this.pauseOf);
  }

  counts(): Record<MirrorState, number> {
    return countStates(this.entries.values(), this.pauseOf);
  }

  /** Milliseconds since the oldest copy that is neither running nor finished was asked for; 0 without any. */
  oldestAge(): number {
    return this.now() - (oldestAsked(this.entries.values()) ?? this.now());
  }

  setLimits(limits: CopyLimits): void {
    this.lanes.configure(limits);
    this.pump();
  }

  /**
   * Tries at once what failed for one of these reasons: something has changed that may mend it. With `namespaces`, only
   * what was tried with pull secrets of these.
   */
  retryNow(reasons: readonly FailureReason[], namespaces?: ReadonlySet<string>): void {
    if (this.draining) return;
    if (reasons.includes('unreachable')) this.pauses.reset();
    for (const entry of [...this.entries.values()]) {
      const isFailure = entry.failure !== undefined && reasons.includes(entry.failure.reason);
      if (entry.state !== 'running' && !isFailure) continue;
      if (namespaces !== undefined && !takeNewSecrets(entry, namespaces)) continue;
      // A copy that runs may have begun before the change.
      if (entry.state === 'running') entry.mended = reasons;
      else if (!this.keeps(entry)) this.forget(entry);
      else if (entry.state === 'failed') void this.admit(entry.job, { ours: entry.ours });
      else if (entry.state === 'waiting') this.requeue(entry);
    }
    this.pump();
  }

  /**
   * Stops: nothing new is accepted, what is running may finish within `grace` milliseconds, the rest is handed back.
   * @returns the jobs that were not finished
   */
  async stop(grace: number): Promise<MirrorJob[]> {
    this.draining = true;
    for (const entry of this.entries.values()) entry.cancel?.();
    const waiting = this.lanes.removeAll();
    if (!this.lanes.isIdle && grace > 0) {
      let timer: NodeJS.Timeout | undefined;
      const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, grace)));
      await Promise.race([timeout, new Promise<void>((resolve) => this.idle.push(resolve))]);
      clearTimeout(timer);
    }
    const unfinished = [...this.entries.values()].filter(({ state }) => state !== 'done' && state !== 'failed');
    for (const entry of unfinished) entry.abort?.abort();
    for (const entry of waiting) settle(entry, failed(STOPPED));
    return unfinished.map(({ job }) => job);
  }

  private admit(job: MirrorJob, claim: Claim, before?: Entry): Promise<MirrorResult> {
    if (this.draining) return Promise.resolve(failed(STOPPED));
    if (this.open >= this.capacity) {
      this.options.events?.onRefused?.(job);
      const message = `${job.source}: the mirror queue is full (${this.capacity}); it is mirrored when a Pod asks again`;
      return Promise.resolve(failed({ reason: 'internal', message, retryable: true }));
    }
    this.forgetOldest();
    // Re-inserted at the end, so that the map's order is the order of forgetting.
    this.entries.delete(job.key);
    const entry = newEntry(job, this.now(), before);
    this.entries.set(job.key, entry);
    this.open += 1;
    this.claim(entry, claim);
    this.lanes.add(entry);
    const result = this.wait(entry);
    this.pump();
    return result;
  }

  /** Whoever asks while the registry is away need not wait to hear it. */
  private wait(entry: Entry): Promise<MirrorResult> {
    const pause = this.pauseOf(entry.job);
    if (pause === undefined) return nextResult(entry);
    entry.awaiting.clear();
    this.yieldUp(entry);
    return Promise.resolve(failed(pausedFailure(entry.job, pause)));
  }

  private requeue(entry: Entry): void {
    entry.cancel?.();
    delete entry.cancel;
    this.queueAgain(entry);
    this.pump();
  }

  private queueAgain(entry: Entry): void {
    delete entry.nextTry;
    entry.state = 'queued';
    entry.since = this.now();
    this.lanes.add(entry);
  }

  private pump(): void {
    while (!this.draining) {
      const entry = this.lanes.take(({ job }) => this.pauseOf(job) === undefined);
      if (entry === undefined) return;
      void this.run(entry);
    }
  }

  private async run(entry: Entry): Promise<void> {
    const { job } = entry;
    const trials = this.pauses.begin(job);
    const abort = new AbortController();
    entry.abort = abort;
    entry.state = 'running';
    entry.attempts += 1;
    entry.since = this.now();
    delete entry.nextTry;
    delete entry.progress;
    delete entry.mended;
    noteTried(entry);
    let result: MirrorResult;
    try {
      const outcome = await this.copier.copy(job, abort.signal, (progress) => {
        entry.progress = progress;
        // Bytes that arrived in the target are an answer of both registries.
        if (progress.transferred > 0 && this.pauses.answered(job, trials)) this.pump();
      });
      result = { ok: true, outcome };
    } catch (error) {
      result = failed(describeFailure(error, job));
    }
    delete entry.abort;
    this.lanes.release(job);
    const milliseconds = this.now() - entry.since;
    const pause = this.draining ? undefined : this.pauses.ended(job, result, trials);
    const away = pause !== undefined && pause.failures >= this.retry.attempts;
    // What was broken off for another replica is no try; it is not known any more, or asked for anew.
    if (this.entries.get(job.key) === entry) {
      const final = this.finish(entry, result, away);
      this.options.events?.onDone?.(job, result, milliseconds, entry.attempts, final);
      settle(entry, result);
    }
    if (pause !== undefined) this.wakeAfter(pause);
    if (away) this.abandon(pause);
    if (this.lanes.isIdle) for (const resolve of this.idle.splice(0)) resolve();
    this.pump();
  }

  /** Until then nobody waits for an answer from a registry that gives none. */
  private wakeAfter(pause: HostPause): void {
    this.pumpAt(pause.until);
    for (const entry of this.lanes.of(pause.host)) {
      settle(entry, failed(pausedFailure(entry.job, pause)));
      this.yieldUp(entry);
    }
  }

  /** A timer counts from the loop's time, which is behind the clock's: it may fire while the pause is not over yet. */
  private pumpAt(time: number): void {
    this.after(Math.max(1, time - this.now()), () => {
      if (this.now() < time) this.pumpAt(time);
      else this.pump();
    });
  }

  /** Gives up what waits for a registry that stays away; it is remembered as failed. */
  private abandon({ host, failure }: HostPause): void {
    for (const entry of this.lanes.remove(host)) {
      const own = {
        ...failure,
        message: `${entry.job.source}: given up with all copies of ${host}: ${failure.message}`,
      };
      this.close(entry, own);
      this.options.events?.onDone?.(entry.job, failed(own), 0, 0, true);
      settle(entry, failed(own));
    }
  }

  /** @returns whether no further try is planned */
  private finish(entry: Entry, result: MirrorResult, away: boolean): boolean {
    const now = this.now();
    // Whoever waits has the answer now, and another replica goes on.
    const isOthers = this.yields && !entry.ours;
    if (result.ok) {
      delete entry.failure;
      entry.digest = result.outcome.digest;
      if (entry.again && !this.draining && !isOthers) {
        entry.again = false;
        entry.job = { ...entry.job, force: true };
        this.queueAgain(entry);
        return false;
      }
      entry.state = 'done';
      entry.since = now;
      this.open -= 1;
      return true;
    }
    const { failure } = result;
    entry.failure = failure;
    const isMended = entry.mended?.includes(failure.reason) === true;
    if (isOthers && !this.draining) {
      const delay = failure.retryable ? retryDelay(this.retry, entry.attempts, failure, this.random) : this.retry.pause;
      this.close(entry, failure, isMended ? 0 : delay);
      return true;
    }
    if (isMended && !this.draining) {
      this.queueAgain(entry);
      return false;
    }
    if (away || !failure.retryable || entry.attempts >= this.retry.attempts || this.draining) {
      this.close(entry, failure);
      return true;
    }
    if (HostPauses.concerns(failure)) {
      // Behind the others of its registry, which wait with it.
      this.queueAgain(entry);
      return false;
    }
    const delay = retryDelay(this.retry, entry.attempts, failure, this.random);
    entry.state = 'waiting';
    entry.nextTry = now + delay;
    entry.cancel = this.after(delay, () => this.requeue(entry));
    return false;
  }

  /** No further try is planned; whoever asks within the pause hears of this one. */
  private close(entry: Entry, failure: CopyFailure, pause = this.retry.pause): void {
    entry.failure = failure;
    entry.state = failure.reason === 'stopped' ? 'queued' : 'failed';
    entry.since = this.now();
    entry.nextTry = entry.since + pause;
    this.open -= 1;
  }

  /** Keeps the finished ones bounded: the oldest go first. */
  private forgetOldest(): void {
    let surplus = this.entries.size - this.open - REMEMBERED;
    if (surplus < 0) return;
    for (const [key, entry] of this.entries) {
      if (surplus < 0) return;
      if (entry.state !== 'done' && entry.state !== 'failed') continue;
      this.entries.delete(key);
      surplus -= 1;
    }
  }
}

/** Keeps no process alive. */
function afterUnref(milliseconds: number, callback: () => void): () => void {
  const timer = setTimeout(callback, milliseconds);
  timer.unref();
  return () => clearTimeout(timer);
}
