import { quoteInput } from '../../core/image/quote.js';
import { systemClock } from '../clock.js';
import type { Clock } from '../clock.js';
import type { LeaderTask } from '../leader-task.js';
import { LeaseError } from './api.js';
import type { LeaseApi, LeaseWrite } from './api.js';
import { assessLease, observe } from './assess-lease.js';
import type { Candidate, Observation } from './assess-lease.js';
import type { StoredLease } from './record.js';
import { LeaseRequests } from './requests.js';
import type { LeaseLog } from './lease-log.js';
import { RunningTasks } from './running-tasks.js';
import { messageOf } from '../../util/message-of.js';

/** The known facts about the leader. */
export interface LeaderState {
  readonly leading: boolean;
  /** Identity of the last known holder, including ourselves; undefined while the Lease is free. */
  readonly holder: string | undefined;
  /** Why this replica has not been able to take part for a while: a missing right, or a missing namespace. */
  readonly unavailable?: string;
}

/** Milliseconds. */
export interface LeaseDurations {
  /** How long others assume that a silent leader is alive. */
  readonly lease: number;
  /** Interval between two renewals. */
  readonly renew: number;
  /** A leader that could not renew for this long stops leading: well before the others assume that it is gone. */
  readonly giveUp: number;
  /** Interval between two checks of another replica's Lease, extended by a random factor of up to 0.8. */
  readonly retry: number;
  /** Time limit for one request. */
  readonly request: number;
  /**
   * Rejections count after this long in a row; rights that were just granted, and a token that was just renewed, take
   * some time.
   */
  readonly refused: number;
}

export const LEASE_DURATIONS: LeaseDurations = {
  lease: 8_000,
  renew: 2_000,
  giveUp: 6_000,
  retry: 1_000,
  request: 2_000,
  refused: 20_000,
};

export interface LeaderElectionOptions {
  readonly api: LeaseApi;
  readonly identity: string;
  /** In a Pod: a holder of the same Pod with another identity is a container that has ended. */
  readonly podName?: string | undefined;
  /** Called when any part of it changes. */
  readonly onState: (state: LeaderState) => void;
  readonly log: LeaseLog;
  readonly durations?: LeaseDurations;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** A period of leading. */
interface LeadershipTerm {
  readonly since: Date;
  /** Cancels the timer that ends it. */
  cancelDeadline: () => void;
}

/**
 * Elects one of the replicas with a Lease, by the rules of client-go: clocks of other machines are never used, and a
 * leader stops before the others can assume that it is gone. Tasks run only while this replica leads.
 */
export class LeaderElection {
  private observation: Observation = { lease: undefined, gone: false, unchangedSince: 0 };
  private leading: LeadershipTerm | undefined;
  private tasks: readonly LeaderTask[] = [];
  private running: RunningTasks | undefined;
  private stopping = false;
  private unavailable: string | undefined;
  /** The last of several rejections in a row, and the time of the first. */
  private refusal: { readonly since: number; readonly message: string } | undefined;
  private unreachable = false;
  private lastState = '';
  private wake: (() => void) | undefined;
  private readonly clock: Clock;
  private readonly durations: LeaseDurations;
  private readonly candidate: Candidate;
  private readonly requests: LeaseRequests;

  constructor(private readonly options: LeaderElectionOptions) {
    this.clock = options.clock ?? systemClock;
    this.durations = options.durations ?? LEASE_DURATIONS;
    this.candidate = { identity: options.identity, podName: options.podName, duration: this.durations.lease };
    this.requests = new LeaseRequests(this.clock, this.durations.request, options.api.title);
  }

  /**
   * Takes part until `signal` aborts. Then the tasks are stopped; the Lease is renewed until they have ended, and then
   * released, so that another replica starts at once. Never rejects. Call it once.
   */
  async run(signal: AbortSignal, tasks: readonly LeaderTask[]): Promise<void> {
    this.tasks = tasks;
    const stop = (): void => {
      this.stopping = true;
      this.running?.stop();
      this.requests.abortIdle(new Error('stopping'));
      this.wake?.();
    };
    if (signal.aborted) return;
    signal.addEventListener('abort', stop, { once: true });
    try {
      while (!this.finished()) {
        const pause = await this.round();
        if (!this.finished()) await this.pause(pause);
      }
      await this.running?.end();
      if (this.leading !== undefined) await this.release(this.leading);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  private finished(): boolean {
    return this.stopping && (this.leading === undefined || this.running?.running !== true);
  }

  /** Checks or renews the Lease once. @returns the milliseconds until the next time */
  private async round(): Promise<number> {
    try {
      const pause = this.leading === undefined ? await this.seek() : await this.renew();
      if (this.unreachable) this.options.log('info', `${this.options.api.title}: the API server responds again`);
      this.unreachable = false;
      this.unavailable = undefined;
      this.refusal = undefined;
      this.notify();
      return pause;
    } catch (error) {
      return this.takeError(error);
    }
  }

  private async renew(): Promise<number> {
    const { lease } = this.observation;
    const sent = this.clock.now();
    if (lease !== undefined) {
      try {
        await this.claim((write, signal) => this.replace(lease, write, signal));
        return Math.max(0, this.durations.renew - (this.clock.now() - sent));
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
    }
    return this.seek();
  }

  private async seek(): Promise<number> {
    const { api } = this.options;
    const found = await this.requests.send((signal) => api.read(signal), this.leading === undefined);
    this.observation = observe(this.observation, found, this.clock.now());
    const judgement = assessLease(this.observation, this.candidate, this.clock.now());
    if (judgement.do === 'wait') {
      this.loseLease(`${quoteInput(this.observation.lease?.record.holder ?? '')} holds it`);
      return Math.min(this.retry(), judgement.remaining);
    }
    // Stopping tasks may still write, so no new ones start in parallel.
    const mayAcquire = this.leading !== undefined || (this.running?.running !== true && !this.stopping);
    if (!mayAcquire) return this.retry();
    try {
      await this.claim((write, signal) =>
        found === undefined ? api.create(write, signal) : this.replace(found, write, signal),
      );
      return this.durations.renew;
    } catch (error) {
      if (!isConflict(error)) throw error;
      return this.leading === undefined ? this.retry() : this.durations.retry / 4;
    }
  }

  private replace({ resourceVersion }: StoredLease, write: LeaseWrite, signal: AbortSignal): Promise<StoredLease> {
    return this.options.api.replace(resourceVersion, write, signal);
  }

  /** Acquires or renews the Lease. The other replicas' wait starts when the request arrives, so after it was sent. */
  private async claim(send: (write: LeaseWrite, signal: AbortSignal) => Promise<StoredLease>): Promise<void> {
    const { identity } = this.options;
    const last = this.observation.lease?.record;
    const sent = this.clock.now();
    const now = this.clock.date();
    const write: LeaseWrite = {
      holder: identity,
      durationSeconds: Math.ceil(this.durations.lease / 1_000),
      acquireTime: this.leading?.since ?? now,
      renewTime: now,
      transitions: last === undefined ? 0 : last.transitions + (last.holder === identity ? 0 : 1),
    };
    const stored = await this.requests.send((signal) => send(write, signal));
    this.observation = observe(this.observation, stored, this.clock.now());
    this.hold(write.acquireTime, sent + this.durations.giveUp - this.clock.now());
  }

  /** Leads for `left` milliseconds, unless the Lease is renewed before. */
  private hold(since: Date, left: number): void {
    if (left <= 0) return this.loseLease('the renewal took too long');
    this.leading?.cancelDeadline();
    const cancelDeadline = this.clock.after(left, () =>
      this.loseLease(`it was not renewed for ${this.durations.giveUp / 1_000} s`),
    );
    if (this.leading !== undefined) {
      this.leading.cancelDeadline = cancelDeadline;
      return;
    }
    this.leading = { since, cancelDeadline };
    if (this.stopping) return;
    this.options.log('info', `${this.options.api.title}: this replica is the leader`);
    this.running = new RunningTasks(this.tasks, this.options.log);
    this.running.start(() => this.wake?.());
    this.notify();
  }

  /** Stops leading now, regardless of running requests and tasks. */
  private loseLease(reason: string): void {
    if (this.leading === undefined) return;
    this.leading.cancelDeadline();
    this.leading = undefined;
    this.running?.stop();
    this.requests.abort(new LeaseError('unreachable', `${this.options.api.title}: ${reason}`));
    this.options.log('warn', `${this.options.api.title}: this replica is no longer the leader: ${reason}`);
    this.notify();
  }

  /** Releases the Lease, as client-go does: other replicas do not have to wait for its expiry. */
  private async release({ since, cancelDeadline }: LeadershipTerm): Promise<void> {
    const { api, identity, log } = this.options;
    cancelDeadline();
    this.leading = undefined;
    try {
      for (let tries = 0; tries < 3; tries += 1) {
        const { lease } = this.observation;
        if (lease === undefined || lease.record.holder !== identity) break;
        if (await this.tryRelease(lease, since)) {
          log('info', `${api.title}: released`);
          break;
        }
        const found = await this.requests.send((signal) => api.read(signal));
        this.observation = observe(this.observation, found, this.clock.now());
        if (found === undefined) break;
      }
    } catch (error) {
      const reason = messageOf(error);
      log('warn', `${api.title}: not released, another replica leads when it expires: ${reason}`);
    }
    this.notify();
  }

  /** @returns false if another replica has changed it */
  private async tryRelease(lease: StoredLease, since: Date): Promise<boolean> {
    const { transitions } = lease.record;
    const renewTime = this.clock.date();
    const write: LeaseWrite = { holder: '', durationSeconds: 1, acquireTime: since, renewTime, transitions };
    try {
      const stored = await this.requests.send((signal) => this.replace(lease, write, signal));
      this.observation = observe(this.observation, stored, this.clock.now());
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  }

  private takeError(error: unknown): number {
    const retryTime = this.durations.retry / 2;
    if (this.stopping && this.leading === undefined) return retryTime;
    const message = messageOf(error);
    if (error instanceof LeaseError && error.kind === 'refused') {
      return this.leading === undefined ? this.refuse(message) : Math.min(this.refuse(message), retryTime);
    }
    this.refusal = undefined;
    if (!this.unreachable) this.options.log('warn', message);
    this.unreachable = true;
    return this.leading === undefined ? this.retry() : retryTime;
  }

  /**
   * By the time this replica starts to copy on its own, a leader has long stopped and handed back its work.
   *
   * @returns the milliseconds until the next check
   */
  private refuse(message: string): number {
    if ((this.refusal?.message ?? this.unavailable) !== message) {
      this.options.log('warn', `no leader election: ${message}`);
    }
    const now = this.clock.now();
    this.refusal = { since: this.refusal?.since ?? now, message };
    const left = this.refusal.since + this.durations.refused - now;
    if (left > 0 && this.unavailable === undefined) return Math.min(5 * this.retry(), left);
    this.unavailable = message;
    this.notify();
    return 5 * this.retry();
  }

  private retry(): number {
    return this.durations.retry * (1 + 0.8 * (this.options.random ?? Math.random)());
  }

  private pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.clock.after(milliseconds, () => this.wake?.());
      this.wake = () => {
        cancel();
        this.wake = undefined;
        resolve();
      };
    });
  }

  private notify(): void {
    const { lease, gone } = this.observation;
    const holder = gone || lease === undefined || lease.record.holder === '' ? undefined : lease.record.holder;
    const { unavailable } = this;
    const state: LeaderState = {
      leading: this.leading !== undefined,
      holder,
      ...(unavailable !== undefined && { unavailable }),
    };
    const text = JSON.stringify(state);
    if (text === this.lastState) return;
    this.lastState = text;
    this.options.onState(state);
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof LeaseError && error.kind === 'conflict';
}
