import type { Config } from '../core/config/model.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { Rules } from '../core/decide/rules.js';
import { copyLimits } from '../mirror/copy-limits.js';
import type { Copier, CopyOutcome, CopyProgress } from '../mirror/copier.js';
import type { MirrorResult } from '../mirror/status.js';
import type { IsPodObserved } from '../mirror/observed-pods.js';
import { CopyFailedError, mayBeCredentials } from '../registry/copy-failure.js';
import { LogRateLimiter } from '../util/log-rate-limiter.js';
import { messageOf } from '../util/message-of.js';
import { bodyOf, isStorable, jobId, readBody, repositoryId } from './job-body.js';
import type { JobBody } from './job-body.js';
import { PrefetchLimit } from './limits.js';
import { LocalCopies } from './local-copies.js';
import { NamedLock } from './named-lock.js';
import { coveredRequest, failureIn, isCovered, readResult, resultBody } from './result-body.js';
import type { ResultBody } from './result-body.js';
import { RETURNED } from './session.js';
import type { TakenJob, Session } from './session.js';
import { SharedQueue } from './shared-queue.js';
import type { QueueReport, SharedQueueOptions } from './shared-queue.js';

export interface SharedCopierOptions extends Pick<
  SharedQueueOptions,
  'readSecretKey' | 'install' | 'log' | 'checkInterval'
> {
  readonly config: Config;
  readonly rulesOf: (config: Config) => Rules;
  /** Makes copies with this replica's own credentials. */
  readonly copier: Copier;
  readonly isShown: IsPodObserved;
  readonly onReport: (report: QueueReport) => void;
}

/** A copy that this replica waits for. */
interface PendingCopy {
  readonly job: MirrorJob;
  readonly body: JobBody;
  readonly onProgress: (progress: CopyProgress) => void;
  readonly settle: (result: ResultBody | 'lost') => void;
  /** The time when it was last stored, in milliseconds of a monotonic clock. */
  stored: number;
  /** False while another replica's image of the same repository is stored, so that this one must wait. */
  isStored: boolean;
}

/** Milliseconds after which a job without a result is stored again: the server may have lost the job or its result. */
const STORE_AGAIN_AFTER_MS = 20_000;
/** Milliseconds between two checks for results. */
const POLL_INTERVAL_MS = 2_000;
/** Milliseconds in which no copy ends before this replica takes one more job. */
const PREFETCH_INTERVAL_MS = 1_000;

/**
 * Shares the requested copies with all replicas through a queue server, and makes the copies that it takes from there.
 * If no queue server is configured or reachable, it makes the requested copies itself.
 */
export class SharedCopier implements Copier {
  private config: Config;
  /** Of the configuration, once a job is taken. */
  private compiled: Rules | undefined;
  private queue: SharedQueue | undefined;
  private readonly local: LocalCopies;
  private readonly prefetchLimit: PrefetchLimit;
  /** Whether a copy has ended since the last check. */
  private hasEnded = false;
  private readonly pending = new Map<string, PendingCopy>();
  private readonly repositoryLocks = new NamedLock();
  private readonly logLimiter = new LogRateLimiter(60_000);
  /** Running while there is a queue server. */
  private timers: readonly NodeJS.Timeout[] = [];
  private draining = false;
  private connectedReplicas = 1;

  constructor(private readonly options: SharedCopierOptions) {
    this.config = options.config;
    this.prefetchLimit = new PrefetchLimit(options.config.mirror.concurrency);
    this.local = new LocalCopies(options.copier, copyLimits(options.config), () => this.copyEnded());
    this.open();
  }

  async copy(job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void): Promise<CopyOutcome> {
    if (this.queue === undefined) return this.options.copier.copy(job, signal, onProgress);
    const result = await this.result(job, signal, onProgress);
    if (result.ok) return result.outcome;
    throw new CopyFailedError(result.failure);
  }

  /** The number of replicas that copy; 1 without a usable queue server. */
  get replicas(): number {
    return this.connectedReplicas;
  }

  configure(config: Config): void {
    const before = JSON.stringify(this.config.queue);
    this.config = config;
    this.compiled = undefined;
    this.local.configure(copyLimits(config));
    this.prefetchLimit.configure(config.mirror.concurrency);
    this.queue?.setPrefetch(this.prefetchLimit.current);
    if (before === JSON.stringify(config.queue)) {
      void this.queue?.reconnectIfChanged();
      return;
    }
    void this.close();
    this.queue = undefined;
    this.connectedReplicas = 1;
    this.abandonAll();
    this.open();
  }

  /** Hands back jobs that have not started; running copies may finish within this many milliseconds. */
  async drain(grace: number): Promise<void> {
    if (this.queue === undefined) return;
    this.draining = true;
    await this.queue.stopTakingJobs();
    await this.local.drain(grace);
    // Other replicas have taken these jobs, or will take them.
    this.abandonAll();
    await this.close();
  }

  private open(): void {
    const { config, options } = this;
    if (config.queue.type === 'memory') return;
    const { readSecretKey, install, log, checkInterval } = options;
    const queue = new SharedQueue({
      ...{ readSecretKey, install, log, ...(checkInterval !== undefined && { checkInterval }) },
      config: config.queue,
      prefetch: this.prefetchLimit.current,
      processJob: (job) => this.processJob(job),
      onResult: (id, value) => this.handleResult(id, value),
      onGivenUp: (id, reason) => this.handleGivenUp(id, reason),
      onReport: (report) => {
        if (this.queue !== queue) return;
        this.connectedReplicas = report.isUp ? report.replicas : 1;
        if (!report.isUp) this.abandonAll();
        options.onReport(report);
      },
    });
    this.queue = queue;
    this.timers = [
      setInterval(() => this.raisePrefetchLimit(), PREFETCH_INTERVAL_MS).unref(),
      setInterval(() => void this.pollResults(), POLL_INTERVAL_MS).unref(),
    ];
  }

  private rules(): Rules {
    this.compiled ??= this.options.rulesOf(this.config);
    return this.compiled;
  }

  private async close(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    await this.queue?.close();
  }

  private async result(
    job: MirrorJob,
    signal: AbortSignal,
    onProgress: (progress: CopyProgress) => void,
  ): Promise<MirrorResult> {
    // One image per repository at a time: replicas do not know about each other's uploads, so two of them would both
    // send a layer that their images share.
    const release = await this.repositoryLocks.acquire(`${job.reference.registry}/${job.reference.repository}`, signal);
    try {
      for (;;) {
        const body = await this.request(job, signal, onProgress);
        if (body === 'lost') return await this.local.run(job, signal, onProgress);
        if ('declined' in body) {
          this.logOnce('info', `${job.source}: this replica makes the copy itself: ${body.declined}`);
          return await this.local.run(job, signal, onProgress);
        }
        if (body.ok && !isCovered(job, body.did)) continue;
        // Another replica uses a Pod's pull secrets only if the API server shows the Pod. This replica knows the Pod.
        const isProven = job.pull !== undefined && job.pull.unproven !== true;
        if (!body.ok && isProven && mayBeCredentials(body.failure))
          return await this.local.run(job, signal, onProgress);
        return body.ok ? { ok: true, outcome: body.outcome } : { ok: false, failure: body.failure };
      }
    } finally {
      release();
    }
  }

  /** @returns the result that a replica reports, or `lost` if there is no usable queue */
  private async request(
    job: MirrorJob,
    signal: AbortSignal,
    onProgress: PendingCopy['onProgress'],
  ): Promise<ResultBody | 'lost'> {
    const body = bodyOf(job);
    const session = await this.queue?.current();
    if (session === undefined || !isStorable(body) || signal.aborted || this.draining) return 'lost';
    const id = jobId(job);
    return new Promise((resolve) => {
      const settle = (result: ResultBody | 'lost'): void => {
        signal.removeEventListener('abort', onAbort);
        if (this.pending.get(id) === copy) this.pending.delete(id);
        resolve(result);
      };
      const onAbort = (): void => settle('lost');
      const copy: PendingCopy = { job, body, onProgress, settle, stored: performance.now(), isStored: true };
      this.pending.set(id, copy);
      signal.addEventListener('abort', onAbort, { once: true });
      void this.store(session, id, copy);
    });
  }

  private async store(session: Session, id: string, copy: PendingCopy): Promise<void> {
    const { job, body, settle } = copy;
    try {
      copy.isStored = await session.publish(id, repositoryId(job), body);
      copy.stored = performance.now();
    } catch (error) {
      this.logOnce('error', `the queue server does not store copies: ${messageOf(error)}; this replica makes them`);
      settle('lost');
    }
  }

  private handleResult(id: string, value: unknown): void {
    const copy = this.pending.get(id);
    const failure = failureIn(value);
    if (failure !== undefined) this.local.hostFailed(failure);
    if (copy === undefined) return;
    const result = readResult(value, copy.job);
    if (result === undefined)
      this.logOnce('warn', `${copy.job.source}: dropped a result that is not one of this service`);
    copy.settle(result ?? 'lost');
  }

  private handleGivenUp(id: string, reason: string): void {
    const copy = this.pending.get(id);
    if (copy === undefined) return;
    const message = `${copy.job.source}: too many replicas ended during the copy (${reason.slice(0, 200)})`;
    copy.settle({
      did: coveredRequest(copy.job),
      ok: false,
      failure: { reason: 'internal', message, retryable: false },
    });
  }

  private abandonAll(): void {
    for (const copy of [...this.pending.values()]) copy.settle('lost');
  }

  private copyEnded(): void {
    this.hasEnded = true;
    this.prefetchLimit.reset();
    this.queue?.setPrefetch(this.prefetchLimit.current);
  }

  /** Takes one more job if the copies make no progress. */
  private raisePrefetchLimit(): void {
    const before = this.prefetchLimit.current;
    if (!this.hasEnded && this.local.isBusy) this.prefetchLimit.increase();
    this.hasEnded = false;
    if (this.prefetchLimit.current !== before) this.queue?.setPrefetch(this.prefetchLimit.current);
  }

  /** Reads results whose events were missed, and stores jobs again that have had no result for a long time. */
  private async pollResults(): Promise<void> {
    const session = await this.queue?.current();
    if (session === undefined) return;
    const now = performance.now();
    for (const [id, copy] of this.pending) {
      if (!copy.isStored) {
        await this.store(session, id, copy);
        continue;
      }
      if (copy.stored > now - POLL_INTERVAL_MS) continue;
      const kept = await session.result(id).catch(() => undefined);
      if (kept !== undefined) this.handleResult(id, kept.value);
      else if (copy.stored < now - STORE_AGAIN_AFTER_MS) {
        await this.store(session, id, copy);
      }
    }
  }

  private async processJob({ id, data, signal }: TakenJob): Promise<ResultBody | typeof RETURNED> {
    const requested = this.pending.get(id);
    const job = requested?.job ?? readBody(id, data, this.rules());
    if (typeof job === 'string') {
      this.logOnce('warn', `dropped a job of the queue that is not one of this install: ${job}`);
      return { did: { force: false }, declined: job };
    }
    const proven = requested === undefined ? await this.proveJob(job) : job;
    const result = await this.local.run(proven, signal, requested?.onProgress ?? (() => undefined));
    const isStopped = !result.ok && result.failure.reason === 'stopped';
    return isStopped ? RETURNED : resultBody(job, result);
  }

  /** If the API server shows the Pod, its own pull secrets are used from the first request on. */
  private async proveJob(job: MirrorJob): Promise<MirrorJob> {
    const { pull } = job;
    if (pull === undefined || pull.secretNames.length === 0 || !this.config.secretReader.enabled) return job;
    if (!(await this.options.isShown(job).catch(() => false))) return job;
    const { namespace, serviceAccount, secretNames } = pull;
    return { ...job, pull: { namespace, serviceAccount, secretNames } };
  }

  private logOnce(level: 'info' | 'warn' | 'error', message: string): void {
    if (this.logLimiter.shouldLog(message)) this.options.log(level, message);
  }
}
