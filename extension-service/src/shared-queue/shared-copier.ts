import type { Config } from '../core/config/model.js';
import { needsMore } from '../core/decide/mirror-job.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { Rules } from '../core/decide/rules.js';
import { copyLimits } from '../mirror/copy-limits.js';
import type { Copier, CopyOutcome, CopyProgress } from '../mirror/copier.js';
import type { MirrorResult } from '../mirror/status.js';
import type { IsPodObserved } from '../mirror/observed-pods.js';
import { CopyFailedError, mayBeCredentials } from '../registry/copy-failure.js';
import { LogRateLimiter } from '../util/log-rate-limiter.js';
import { messageOf } from '../util/message-of.js';
import { bodyOf, fits, jobId, readBody, repositoryId } from './job-body.js';
import type { JobBody } from './job-body.js';
import { DrawnAhead } from './limits.js';
import { LocalCopies } from './local-copies.js';
import { Places } from './places.js';
import { didOf, failureIn, readResult, resultBody } from './result-body.js';
import type { ResultBody } from './result-body.js';
import { RETURNED } from './session.js';
import type { DrawnJob, Session } from './session.js';
import { SharedQueue } from './shared-queue.js';
import type { QueueReport, SharedQueueOptions } from './shared-queue.js';

export interface SharedCopierOptions extends Pick<SharedQueueOptions, 'readSecretKey' | 'install' | 'log'> {
  readonly config: Config;
  readonly rulesOf: (config: Config) => Rules;
  /** Makes copies with this replica's own credentials. */
  readonly copier: Copier;
  readonly isShown: IsPodObserved;
  readonly onReport: (report: QueueReport) => void;
}

/** A copy that this replica waits for. */
interface Ask {
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
const STORE_AGAIN_MS = 20_000;
/** Milliseconds between two checks for results. */
const LOOK_AGAIN_MS = 2_000;
/** Milliseconds in which no copy ends before this replica takes one more job. */
const GROW_MS = 1_000;

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
  private readonly ahead: DrawnAhead;
  /** Whether a copy has ended since the last check. */
  private hasEnded = false;
  private readonly asks = new Map<string, Ask>();
  private readonly repositories = new Places();
  private readonly lines = new LogRateLimiter(60_000);
  /** Running while there is a queue server. */
  private timers: readonly NodeJS.Timeout[] = [];
  private draining = false;
  private connectedReplicas = 1;

  constructor(private readonly options: SharedCopierOptions) {
    this.config = options.config;
    this.ahead = new DrawnAhead(options.config.mirror.concurrency);
    this.local = new LocalCopies(options.copier, copyLimits(options.config), () => this.ended());
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
    this.ahead.configure(config.mirror.concurrency);
    this.queue?.setAhead(this.ahead.current);
    if (before === JSON.stringify(config.queue)) {
      void this.queue?.readAgain();
      return;
    }
    void this.close();
    this.queue = undefined;
    this.connectedReplicas = 1;
    this.loseAll();
    this.open();
  }

  /** Hands back jobs that have not started; running copies may finish within this many milliseconds. */
  async drain(grace: number): Promise<void> {
    if (this.queue === undefined) return;
    this.draining = true;
    await this.queue.stopDrawing();
    await this.local.drain(grace);
    // Other replicas have taken these jobs, or will take them.
    this.loseAll();
    await this.close();
  }

  private open(): void {
    const { config, options } = this;
    if (config.queue.type === 'memory') return;
    const { readSecretKey, install, log } = options;
    const queue = new SharedQueue({
      ...{ readSecretKey, install, log },
      config: config.queue,
      ahead: this.ahead.current,
      draw: (job) => this.draw(job),
      onResult: (id, value) => this.heard(id, value),
      onGivenUp: (id, reason) => this.givenUp(id, reason),
      onReport: (report) => {
        if (this.queue !== queue) return;
        this.connectedReplicas = report.isUp ? report.replicas : 1;
        if (!report.isUp) this.loseAll();
        options.onReport(report);
      },
    });
    this.queue = queue;
    this.timers = [
      setInterval(() => this.grow(), GROW_MS).unref(),
      setInterval(() => void this.lookAgain(), LOOK_AGAIN_MS).unref(),
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
    const leave = await this.repositories.enter(`${job.reference.registry}/${job.reference.repository}`, signal);
    try {
      for (;;) {
        const body = await this.ask(job, signal, onProgress);
        if (body === 'lost') return await this.local.run(job, signal, onProgress);
        if ('declined' in body) {
          this.tell('info', `${job.source}: this replica makes the copy itself: ${body.declined}`);
          return await this.local.run(job, signal, onProgress);
        }
        if (body.ok && needsMore(job, { ...job, look: undefined, allReferrers: undefined, ...body.did } as MirrorJob)) {
          continue;
        }
        // Another replica uses a Pod's pull secrets only if the API server shows the Pod. This replica knows the Pod.
        const isProven = job.pull !== undefined && job.pull.unproven !== true;
        if (!body.ok && isProven && mayBeCredentials(body.failure))
          return await this.local.run(job, signal, onProgress);
        return body.ok ? { ok: true, outcome: body.outcome } : { ok: false, failure: body.failure };
      }
    } finally {
      leave();
    }
  }

  /** @returns the result that a replica reports, or `lost` if there is no usable queue */
  private async ask(job: MirrorJob, signal: AbortSignal, onProgress: Ask['onProgress']): Promise<ResultBody | 'lost'> {
    const body = bodyOf(job);
    const session = await this.queue?.current();
    if (session === undefined || !fits(body) || signal.aborted || this.draining) return 'lost';
    const id = jobId(job);
    return new Promise((resolve) => {
      const settle = (result: ResultBody | 'lost'): void => {
        signal.removeEventListener('abort', onAbort);
        if (this.asks.get(id) === ask) this.asks.delete(id);
        resolve(result);
      };
      const onAbort = (): void => settle('lost');
      const ask: Ask = { job, body, onProgress, settle, stored: performance.now(), isStored: true };
      this.asks.set(id, ask);
      signal.addEventListener('abort', onAbort, { once: true });
      void this.store(session, id, ask);
    });
  }

  private async store(session: Session, id: string, ask: Ask): Promise<void> {
    const { job, body, settle } = ask;
    try {
      ask.isStored = await session.publish(id, repositoryId(job), body);
      ask.stored = performance.now();
    } catch (error) {
      this.tell('error', `the queue server does not store copies: ${messageOf(error)}; this replica makes them`);
      settle('lost');
    }
  }

  private heard(id: string, value: unknown): void {
    const ask = this.asks.get(id);
    const failure = failureIn(value);
    if (failure !== undefined) this.local.hostFailed(failure);
    if (ask === undefined) return;
    const result = readResult(value, ask.job);
    if (result === undefined) this.tell('warn', `${ask.job.source}: dropped a result that is not one of this service`);
    ask.settle(result ?? 'lost');
  }

  private givenUp(id: string, reason: string): void {
    const ask = this.asks.get(id);
    if (ask === undefined) return;
    const message = `${ask.job.source}: too many replicas ended during the copy (${reason.slice(0, 200)})`;
    ask.settle({ did: didOf(ask.job), ok: false, failure: { reason: 'internal', message, retryable: false } });
  }

  private loseAll(): void {
    for (const ask of [...this.asks.values()]) ask.settle('lost');
  }

  private ended(): void {
    this.hasEnded = true;
    this.ahead.ended();
    this.queue?.setAhead(this.ahead.current);
  }

  /** Takes one more job if the copies make no progress. */
  private grow(): void {
    const before = this.ahead.current;
    if (!this.hasEnded && this.local.isBusy) this.ahead.stuck();
    this.hasEnded = false;
    if (this.ahead.current !== before) this.queue?.setAhead(this.ahead.current);
  }

  /** Reads results whose events were missed, and stores jobs again that have had no result for a long time. */
  private async lookAgain(): Promise<void> {
    const session = await this.queue?.current();
    if (session === undefined) return;
    const now = performance.now();
    for (const [id, ask] of this.asks) {
      if (!ask.isStored) {
        await this.store(session, id, ask);
        continue;
      }
      if (ask.stored > now - LOOK_AGAIN_MS) continue;
      const kept = await session.result(id).catch(() => undefined);
      if (kept !== undefined) this.heard(id, kept.value);
      else if (ask.stored < now - STORE_AGAIN_MS) {
        await this.store(session, id, ask);
      }
    }
  }

  private async draw({ id, data, signal }: DrawnJob): Promise<ResultBody | typeof RETURNED> {
    const ask = this.asks.get(id);
    const job = ask?.job ?? readBody(id, data, this.rules());
    if (typeof job === 'string') {
      this.tell('warn', `dropped a job of the queue that is not one of this install: ${job}`);
      return { did: { force: false }, declined: job };
    }
    const proven = ask === undefined ? await this.proven(job) : job;
    const result = await this.local.run(proven, signal, ask?.onProgress ?? (() => undefined));
    const isStopped = !result.ok && result.failure.reason === 'stopped';
    return isStopped ? RETURNED : resultBody(job, result);
  }

  /** If the API server shows the Pod, its own pull secrets are used from the first request on. */
  private async proven(job: MirrorJob): Promise<MirrorJob> {
    const { pull } = job;
    if (pull === undefined || pull.secretNames.length === 0 || !this.config.secretReader.enabled) return job;
    if (!(await this.options.isShown(job).catch(() => false))) return job;
    const { namespace, serviceAccount, secretNames } = pull;
    return { ...job, pull: { namespace, serviceAccount, secretNames } };
  }

  private tell(level: 'info' | 'warn' | 'error', message: string): void {
    if (this.lines.shouldLog(message)) this.options.log(level, message);
  }
}
