import type { Copier, CopyOutcome, CopyProgress, MirrorJob } from './job.js';
import { CopyFailedError, DEFAULT_RETRY, retryDelay } from './failure.js';
import type { CopyFailure, RetryPolicy } from './failure.js';

export type MirrorState = 'queued' | 'running' | 'waiting' | 'failed' | 'done';

/** What one try of a copy came to. */
export type MirrorResult =
  { readonly ok: true; readonly outcome: CopyOutcome } | { readonly ok: false; readonly failure: CopyFailure };

/** A row of `GET /v1/mirrors`. Times are milliseconds since the epoch. */
export interface MirrorStatus {
  readonly source: string;
  readonly target: string;
  readonly reference: string;
  readonly state: MirrorState;
  readonly attempts: number;
  readonly since: number;
  readonly progress?: CopyProgress;
  readonly failure?: CopyFailure;
  readonly nextTry?: number;
  readonly digest?: string;
}

/** As in a row of `GET /v1/mirrors`: times in milliseconds since the epoch. */
export type CopyStatus = Omit<MirrorStatus, 'source' | 'target' | 'reference'>;

export interface QueueEvents {
  onDone?(job: MirrorJob, result: MirrorResult, milliseconds: number, attempt: number): void;
}

export interface QueueOptions {
  readonly concurrency: number;
  /** Copies that may be queued, running or waiting; more are not accepted. @default 10000 */
  readonly capacity?: number;
  readonly retry?: RetryPolicy;
  readonly events?: QueueEvents;
  readonly now?: () => number;
  readonly random?: () => number;
}

interface Entry {
  job: MirrorJob;
  state: MirrorState;
  attempts: number;
  since: number;
  progress?: CopyProgress;
  failure?: CopyFailure;
  nextTry?: number;
  digest?: string;
  timer?: NodeJS.Timeout;
  again: boolean;
  /** Nobody else would copy it in our stead: an admission waits for it, or the leader does not see its Pod. */
  awaited?: true;
  /** Pull contexts that were tried since the entry was made. */
  readonly tried: Set<string>;
  waiters: ((result: MirrorResult) => void)[];
}

const REMEMBERED = 500;
const HANDED_BACK: CopyFailure = { reason: 'stopped', message: 'left to another replica', retryable: true };

/**
 * The in-memory queue: one copy per target reference however many Pods ask, bounded, with classed retries. It keeps no
 * promise over a restart: what must be mirrored is found again in the cluster.
 */
export class MirrorQueue {
  private readonly entries = new Map<string, Entry>();
  private readonly ready: Entry[] = [];
  private readonly abort = new AbortController();
  private readonly now: () => number;
  private readonly random: () => number;
  private readonly capacity: number;
  private readonly retry: RetryPolicy;
  private concurrency: number;
  private running = 0;
  private open = 0;
  private draining = false;
  private idle: (() => void)[] = [];

  constructor(
    private readonly copier: Copier,
    private readonly options: QueueOptions,
  ) {
    this.now = options.now ?? Date.now;
    this.random = options.random ?? Math.random;
    this.capacity = options.capacity ?? 10_000;
    this.retry = options.retry ?? DEFAULT_RETRY;
    this.concurrency = options.concurrency;
  }

  /**
   * Asks for a copy. The promise resolves, and never rejects, with the result of the try that is under way or next; at
   * once while a failure is remembered or when the queue is full or stopping.
   *
   * @param awaited nobody else would copy it: `handBack` keeps it
   */
  enqueue(job: MirrorJob, awaited = false): Promise<MirrorResult> {
    const result = this.ask(job);
    const entry = awaited ? this.entries.get(job.key) : undefined;
    if (entry !== undefined) entry.awaited = true;
    return result;
  }

  /**
   * Forgets what has not begun and what waits for another try, but for what nobody else would copy: another replica
   * finds it in the cluster. What runs goes on.
   */
  handBack(): MirrorJob[] {
    const handed = [...this.entries.values()].filter(
      ({ state, awaited }) => (state === 'queued' || state === 'waiting') && awaited !== true,
    );
    for (const entry of handed) {
      clearTimeout(entry.timer);
      this.entries.delete(entry.job.key);
      const place = this.ready.indexOf(entry);
      if (place >= 0) this.ready.splice(place, 1);
      this.open -= 1;
      settle(entry, failed(HANDED_BACK));
    }
    return handed.map(({ job }) => job);
  }

  private ask(job: MirrorJob): Promise<MirrorResult> {
    const known = this.entries.get(job.key);
    if (known === undefined) return this.admit(job);
    switch (known.state) {
      case 'queued':
        known.job = merge(known.job, job);
        return this.wait(known);
      case 'running':
        // Whoever forces a copy wants what the source has from now on: run once more after this one.
        if (job.force && !known.job.force) known.again = true;
        return this.wait(known);
      case 'waiting':
        known.job = merge(known.job, job);
        if (!bringsNewCredentials(known, job)) return Promise.resolve(failed(known.failure));
        clearTimeout(known.timer);
        this.requeue(known);
        return this.wait(known);
      case 'failed':
        if ((known.nextTry ?? 0) > this.now() && !bringsNewCredentials(known, job)) {
          return Promise.resolve(failed(known.failure));
        }
        return this.admit(job, known.tried);
      case 'done':
        return this.admit(job);
    }
  }

  /** Everything that is known, the unfinished first. */
  list(): MirrorStatus[] {
    const order: Record<MirrorState, number> = { running: 0, queued: 1, waiting: 2, failed: 3, done: 4 };
    return [...this.entries.values()].sort((a, b) => order[a.state] - order[b.state] || b.since - a.since).map(row);
  }

  /** The copy with this key, if it is remembered. */
  find(key: string): MirrorStatus | undefined {
    const entry = this.entries.get(key);
    return entry && row(entry);
  }

  counts(): Record<MirrorState, number> {
    const counts: Record<MirrorState, number> = { queued: 0, running: 0, waiting: 0, failed: 0, done: 0 };
    for (const entry of this.entries.values()) counts[entry.state] += 1;
    return counts;
  }

  setConcurrency(concurrency: number): void {
    this.concurrency = concurrency;
    this.pump();
  }

  /**
   * Stops: nothing new is accepted, what is running may finish within `grace` milliseconds, the rest is handed back.
   * @returns the jobs that were not finished
   */
  async stop(grace: number): Promise<MirrorJob[]> {
    this.draining = true;
    for (const entry of this.entries.values()) clearTimeout(entry.timer);
    const waiting = this.ready.splice(0);
    if (this.running > 0 && grace > 0) {
      let timer: NodeJS.Timeout | undefined;
      const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, grace)));
      await Promise.race([timeout, new Promise<void>((resolve) => this.idle.push(resolve))]);
      clearTimeout(timer);
    }
    const unfinished = [...this.entries.values()].filter(({ state }) => state !== 'done' && state !== 'failed');
    this.abort.abort();
    const stopped: CopyFailure = { reason: 'stopped', message: 'the service is stopping', retryable: true };
    for (const entry of waiting) settle(entry, failed(stopped));
    return unfinished.map(({ job }) => job);
  }

  private admit(job: MirrorJob, tried?: ReadonlySet<string>): Promise<MirrorResult> {
    if (this.draining)
      return Promise.resolve(failed({ reason: 'stopped', message: 'the service is stopping', retryable: true }));
    if (this.open >= this.capacity) {
      const message = `${job.source}: the mirror queue is full (${this.capacity}); it is mirrored when a Pod asks again`;
      return Promise.resolve(failed({ reason: 'internal', message, retryable: true }));
    }
    this.forgetOldest();
    // Re-inserted at the end, so that the map's order is the order of forgetting.
    this.entries.delete(job.key);
    const entry: Entry = {
      job,
      state: 'queued',
      attempts: 0,
      since: this.now(),
      again: false,
      tried: new Set(tried),
      waiters: [],
    };
    this.entries.set(job.key, entry);
    this.open += 1;
    this.ready.push(entry);
    const result = this.wait(entry);
    this.pump();
    return result;
  }

  private wait(entry: Entry): Promise<MirrorResult> {
    return new Promise((resolve) => entry.waiters.push(resolve));
  }

  private requeue(entry: Entry): void {
    entry.state = 'queued';
    this.ready.push(entry);
    this.pump();
  }

  private pump(): void {
    while (!this.draining && this.running < this.concurrency) {
      const entry = this.ready.shift();
      if (entry === undefined) return;
      void this.run(entry);
    }
  }

  private async run(entry: Entry): Promise<void> {
    this.running += 1;
    entry.state = 'running';
    entry.attempts += 1;
    entry.since = this.now();
    delete entry.nextTry;
    delete entry.progress;
    entry.tried.add(pullKey(entry.job));
    let result: MirrorResult;
    try {
      const outcome = await this.copier.copy(entry.job, this.abort.signal, (progress) => (entry.progress = progress));
      result = { ok: true, outcome };
    } catch (error) {
      result = failed(describeFailure(error, entry.job));
    }
    this.running -= 1;
    const milliseconds = this.now() - entry.since;
    this.finish(entry, result);
    this.options.events?.onDone?.(entry.job, result, milliseconds, entry.attempts);
    settle(entry, result);
    if (this.running === 0) for (const resolve of this.idle.splice(0)) resolve();
    this.pump();
  }

  private finish(entry: Entry, result: MirrorResult): void {
    const now = this.now();
    if (result.ok) {
      delete entry.failure;
      entry.digest = result.outcome.digest;
      if (entry.again && !this.draining) {
        entry.again = false;
        entry.job = { ...entry.job, force: true };
        entry.state = 'queued';
        this.ready.push(entry);
        return;
      }
      entry.state = 'done';
      entry.since = now;
      this.open -= 1;
      return;
    }
    entry.failure = result.failure;
    if (result.failure.retryable && entry.attempts < this.retry.attempts && !this.draining) {
      const delay = retryDelay(this.retry, entry.attempts, result.failure, this.random);
      entry.state = 'waiting';
      entry.nextTry = now + delay;
      entry.timer = setTimeout(() => this.requeue(entry), delay);
      entry.timer.unref();
      return;
    }
    entry.state = result.failure.reason === 'stopped' ? 'queued' : 'failed';
    entry.since = now;
    entry.nextTry = now + this.retry.pause;
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

function row(entry: Entry): MirrorStatus {
  const { job } = entry;
  return { source: job.source, target: job.target, reference: job.reference.text, ...copyStatus(entry) };
}

/** What of a copy is for others to see, without which copy it is. */
export function copyStatus({ state, attempts, since, progress, failure, nextTry, digest }: CopyStatus): CopyStatus {
  return {
    state,
    attempts,
    since,
    ...(progress !== undefined && { progress }),
    ...(failure !== undefined && { failure }),
    ...(nextTry !== undefined && { nextTry }),
    ...(digest !== undefined && { digest }),
  };
}

function settle(entry: Entry, result: MirrorResult): void {
  for (const resolve of entry.waiters.splice(0)) resolve(result);
}

function failed(failure: CopyFailure | undefined): MirrorResult {
  return { ok: false, failure: failure ?? { reason: 'internal', message: 'the copy failed', retryable: true } };
}

/** A second request for a queued copy may bring the credentials that the first one lacked. */
function merge(known: MirrorJob, job: MirrorJob): MirrorJob {
  const pull = job.pull ?? known.pull;
  return { ...known, force: known.force || job.force, ...(pull !== undefined && { pull }) };
}

function pullKey(job: MirrorJob): string {
  return JSON.stringify(job.pull ?? null);
}

/** Registries say "not found" to whoever may not read, so that too may be mended by another Pod's pull secrets. */
function bringsNewCredentials(known: Entry, job: MirrorJob): boolean {
  const reason = known.failure?.reason;
  if (reason !== 'unauthorized' && reason !== 'forbidden' && reason !== 'absent') return false;
  return job.pull !== undefined && !known.tried.has(pullKey(job));
}

function describeFailure(error: unknown, job: MirrorJob): CopyFailure {
  if (error instanceof CopyFailedError) return error.failure;
  const message = `${job.source}: ${error instanceof Error ? error.message : String(error)}`;
  return { reason: 'internal', message, retryable: true };
}
