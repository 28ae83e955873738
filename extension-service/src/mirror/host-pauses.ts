import type { CopyFailure } from '../registry/copy-failure.js';
import type { RetryPolicy } from './retry.js';
import { retryDelay, waitAsked } from './retry.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import { sourceHost, targetHost } from '../core/decide/mirror-job.js';
import type { MirrorResult } from './status.js';
import { BoundedMap } from '../util/bounded-map.js';

interface Pause {
  /** Milliseconds since the epoch. */
  until: number;
  /** Failed trials in a row. */
  failures: number;
  failure: CopyFailure;
  /** One copy is checking whether the registry is back. */
  trial: boolean;
}

/** Maximum registries to remember; Pods name them. */
const MAX_PAUSES = 1_000;
/** A registry that is down costs one copy's time this often; milliseconds. */
const MAX_PAUSE_MS = 60_000;

/** Why copies wait, and until when: milliseconds since the epoch. */
export interface HostPause {
  readonly host: string;
  readonly until: number;
  readonly failure: CopyFailure;
}

/** The registries that a copy checks for recovery. */
export type TrialHosts = Set<string>;

/**
 * Registries that do not answer, or answer "too many requests". All copies of such a registry wait, instead of each
 * finding out by itself; then one tries, and the others follow once it succeeds.
 */
export class HostPauses {
  private readonly pauses = new BoundedMap<string, Pause>(MAX_PAUSES);

  constructor(
    private readonly policy: RetryPolicy,
    private readonly now: () => number,
    private readonly random: () => number,
  ) {}

  /** Whether a failure is caused by the registry and not by the image. */
  static isHostFailure({ reason, retryable, host }: CopyFailure): boolean {
    return host !== undefined && retryable && (reason === 'unreachable' || reason === 'throttled');
  }

  /** The longer of the pauses of a job's registries; undefined if it may run. */
  of(job: MirrorJob): HostPause | undefined {
    const [first, second] = hosts(job).flatMap((host): HostPause[] => {
      const pause = this.pauses.get(host);
      if (pause === undefined || (pause.until <= this.now() && !pause.trial)) return [];
      return [{ host, until: pause.until, failure: pause.failure }];
    });
    return second !== undefined && first !== undefined && second.until > first.until ? second : first;
  }

  /** A copy starts. */
  begin(job: MirrorJob): TrialHosts {
    const trials: TrialHosts = new Set();
    for (const host of hosts(job)) {
      const pause = this.pauses.get(host);
      if (pause === undefined) continue;
      pause.trial = true;
      trials.add(host);
    }
    return trials;
  }

  /** Both registries have answered a copy's requests. @returns whether others may run now */
  answered(job: MirrorJob, trials: TrialHosts): boolean {
    const before = this.pauses.size;
    for (const host of hosts(job)) {
      // Requests that started earlier may still get responses while the registry rejects others.
      if (trials.has(host) || this.pauses.get(host)?.failure.reason !== 'throttled') this.pauses.delete(host);
    }
    trials.clear();
    return this.pauses.size < before;
  }

  /** A copy has ended. @returns the pause that it started, with the number of failed trials in a row */
  ended(job: MirrorJob, result: MirrorResult, trials: TrialHosts): (HostPause & { failures: number }) | undefined {
    if (result.ok) {
      this.answered(job, trials);
      return undefined;
    }
    const { failure } = result;
    const { host } = failure;
    for (const tried of trials) {
      const pause = this.pauses.get(tried);
      // If this registry did not answer, another copy may try; a rejection is an answer.
      if (pause !== undefined && tried !== host) pause.trial = false;
      else if (!HostPauses.isHostFailure(failure)) this.pauses.delete(tried);
    }
    if (host === undefined || !HostPauses.isHostFailure(failure)) return undefined;
    return { host, ...this.failed(host, failure, trials.has(host)) };
  }

  /** Forgets unreachable registries: a new configuration may reach them differently. */
  reset(): void {
    for (const [host, { failure }] of this.pauses) if (failure.reason === 'unreachable') this.pauses.delete(host);
  }

  private failed(host: string, failure: CopyFailure, isTrial: boolean): Pause {
    const known = this.pauses.get(host);
    const now = this.now();
    const asked = waitAsked(this.policy, failure);
    if (known !== undefined && !isTrial) {
      // It started before the pause, so only the time that the registry requests is new, which is then the reason to
      // wait.
      known.until = Math.max(known.until, now + asked);
      if (failure.reason === 'throttled') known.failure = failure;
      return known;
    }
    const failures = (known?.failures ?? 0) + 1;
    const policy = { ...this.policy, max: Math.min(MAX_PAUSE_MS, this.policy.max) };
    const until = now + Math.max(asked, retryDelay(policy, failures, failure, this.random));
    const pause = { until, failures, failure, trial: false };
    this.pauses.set(host, pause);
    return pause;
  }
}

function hosts(job: MirrorJob): string[] {
  return [...new Set([sourceHost(job), targetHost(job)])];
}
