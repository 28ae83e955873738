import { sourceHost, targetHost } from '../core/decide/mirror-job.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { Copier, CopyProgress } from '../mirror/copier.js';
import { BoundedMap } from '../util/bounded-map.js';
import { describeFailure, failed, newEntry } from '../mirror/entry.js';
import type { Entry } from '../mirror/entry.js';
import { HostPauses } from '../mirror/host-pauses.js';
import { Lanes } from '../mirror/lanes.js';
import { pausedFailure } from '../mirror/queue-view.js';
import { HANDED_BACK_FAILURE } from '../mirror/queue-state.js';
import { MAX_WAIT_MS } from '../mirror/retry.js';
import type { CopyLimits } from '../mirror/slots.js';
import type { MirrorResult } from '../mirror/status.js';
import type { CopyFailure } from '../registry/copy-failure.js';
import { inTime } from '../util/in-time.js';

interface Waiting {
  readonly entry: Entry;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: CopyProgress) => void;
  readonly end: (result: MirrorResult) => void;
}

/** Maximum registries with a pause; Pods name them. */
const MAX_PAUSES = 1_000;
/**
 * A pause ends this many milliseconds early: the replica that requests the copies also waits, and its first copy
 * afterwards must not be rejected here.
 */
const EARLY_MS = 1_000;

/** A registry that asked for a wait. */
interface Pause {
  /** Milliseconds of a monotonic clock. */
  readonly until: number;
  readonly failure: CopyFailure;
}

/**
 * The copies that this replica makes, in the order of the lanes and within the copy slots. Each is tried once: the
 * replica that requested the copy decides when to try again.
 */
export class LocalCopies {
  private readonly lanes: Lanes;
  private readonly waiting = new Map<Entry, Waiting>();
  private readonly running = new Map<Entry, AbortController>();
  private readonly pauses = new BoundedMap<string, Pause>(MAX_PAUSES);
  private idle: (() => void)[] = [];
  private draining = false;

  constructor(
    private readonly copier: Copier,
    limits: CopyLimits,
    private readonly onEnd: () => void,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.lanes = new Lanes(limits);
  }

  configure(limits: CopyLimits): void {
    this.lanes.configure(limits);
    this.pump();
  }

  /** Whether a copy runs or waits. */
  get isBusy(): boolean {
    return this.running.size + this.waiting.size > 0;
  }

  /** Never rejects. If the signal aborts, the result is a failure with the reason `stopped`. */
  run(job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void): Promise<MirrorResult> {
    if (this.draining || signal.aborted) return Promise.resolve(failed(HANDED_BACK_FAILURE));
    const paused = this.pausedFor(job);
    if (paused !== undefined) return Promise.resolve(failed(paused));
    return new Promise((resolve) => {
      const entry = newEntry(job, Date.now());
      const onAbort = (): void => this.giveUp(entry, HANDED_BACK_FAILURE);
      const end = (result: MirrorResult): void => {
        signal.removeEventListener('abort', onAbort);
        resolve(result);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.waiting.set(entry, { entry, signal, onProgress, end });
      this.lanes.add(entry);
      this.pump();
    });
  }

  /**
   * Ends the copies that wait for a registry which does not answer, or rejects requests for now, with its failure. If
   * the registry asks for a wait, the same happens to copies that are taken until then.
   */
  hostFailed(failure: CopyFailure): void {
    const { host } = failure;
    if (host === undefined || !HostPauses.isHostFailure(failure)) return;
    const until = this.now() + Math.min(failure.retryAfter ?? 0, MAX_WAIT_MS) - EARLY_MS;
    // Copies that the pause ends report it again, a little later.
    const known = this.pauses.get(host);
    if (until > (known === undefined ? this.now() : known.until + EARLY_MS)) this.pauses.set(host, { until, failure });
    for (const entry of this.lanes.of(host)) {
      this.giveUp(entry, pausedFailure(entry.job, { host, until: 0, failure }));
    }
  }

  /** Starts no more copies. Running copies may finish within this many milliseconds, and are then aborted. */
  async drain(grace: number): Promise<void> {
    this.draining = true;
    for (const entry of [...this.waiting.keys()]) this.giveUp(entry, HANDED_BACK_FAILURE);
    if (this.running.size === 0) return;
    const idle = new Promise<void>((resolve) => this.idle.push(resolve));
    await inTime(idle, grace, () => undefined);
    for (const abort of this.running.values()) abort.abort();
  }

  /** The failure of a registry whose pause is not over, with the time that is left. */
  private pausedFor(job: MirrorJob): CopyFailure | undefined {
    const now = this.now();
    for (const host of [sourceHost(job), targetHost(job)]) {
      const pause = this.pauses.get(host);
      if (pause === undefined) continue;
      const retryAfter = pause.until + EARLY_MS - now;
      if (pause.until > now) return pausedFailure(job, { host, until: 0, failure: { ...pause.failure, retryAfter } });
      this.pauses.delete(host);
    }
    return undefined;
  }

  private giveUp(entry: Entry, failure: CopyFailure): void {
    const waiting = this.waiting.get(entry);
    if (waiting === undefined) return;
    this.waiting.delete(entry);
    this.lanes.drop(entry);
    waiting.end(failed(failure));
  }

  private pump(): void {
    for (;;) {
      const entry = this.draining ? undefined : this.lanes.take(() => true);
      const waiting = entry && this.waiting.get(entry);
      if (waiting === undefined) return;
      this.waiting.delete(waiting.entry);
      void this.copy(waiting);
    }
  }

  private async copy({ entry, signal, onProgress, end }: Waiting): Promise<void> {
    const { job } = entry;
    const own = new AbortController();
    this.running.set(entry, own);
    entry.state = 'running';
    const result = await this.copier.copy(job, AbortSignal.any([signal, own.signal]), onProgress).then(
      (outcome): MirrorResult => ({ ok: true, outcome }),
      (error: unknown) => failed(describeFailure(error, job)),
    );
    this.running.delete(entry);
    this.lanes.release(entry, job);
    this.onEnd();
    const stopped = (signal.aborted || own.signal.aborted) && !result.ok;
    end(stopped ? failed(HANDED_BACK_FAILURE) : result);
    if (!result.ok && !stopped) this.hostFailed(result.failure);
    if (this.running.size === 0) for (const resolve of this.idle.splice(0)) resolve();
    this.pump();
  }
}
