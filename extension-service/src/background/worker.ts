import { Worker } from 'node:worker_threads';
import type { Config } from '../core/config/model.js';
import type { RegistryLogin } from '../credentials/renewed-login.js';
import type { CopyReport } from '../kubernetes/copy-report.js';
import { neededPrograms } from './programs/needed.js';
import { PROGRAMS } from './programs/programs.js';
import { unpack } from './programs/unpack.js';
import type { LoginCredentials } from '../registry/types.js';
import type { CloudEvent } from '../kinds/cloud.js';
import type { Logger } from '../telemetry/log.js';
import { MAX_KNOWN_BLOBS, type KnownBlob } from '../registry/known-blobs.js';
import type { RequestReport } from '../registry/request-tally.js';
import { BACKGROUND_PROGRAM } from './program.js';
import { BoundedMap } from '../util/bounded-map.js';
import { CopyFailedError } from '../registry/copy-failure.js';
import type { Copier, CopyOutcome, CopyProgress } from '../mirror/copier.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { SourceAccess } from '../core/decide/source-access.js';
import type { ClusterEvent, BackgroundData, FromBackground, ToBackground } from './protocol.js';
import { inTime } from '../util/in-time.js';

/** Pause before the first restart of a worker that ended; it doubles each time a worker does not live long enough. */
const RESTART_PAUSE_MS = 1_000;
const MAX_RESTART_PAUSE_MS = 60_000;
/** A worker that lived this long resets the restart pause. */
const HEALTHY_AFTER_MS = 60_000;
const LEASE_RELEASE_TIMEOUT_MS = 3_000;
/**
 * Heap limit of the worker. V8 lets garbage pile up in proportion to the limit. Half a million Pods fit into it, and a
 * worker that needs more is restarted while admissions continue. `--max-old-space-size` in `NODE_OPTIONS`, which the
 * chart sets, overrides it, because V8 applies that to every thread.
 */
const MAX_HEAP_MIB = 512;

/** A request that the worker has not answered yet. */
interface PendingRequest {
  readonly what: string;
  readonly answer: (message: FromBackground) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress?: (progress: CopyProgress) => void;
}

/**
 * The main thread's handle of the background worker: copies, watches, the Lease, Events, the serving certificate and
 * logins run there, so that they never delay an admission (see docs/decisions/0004-background-worker.md). When the
 * worker dies, its copies fail as retryable and the next request starts another worker. Restarts after quick deaths are
 * delayed.
 */
export class BackgroundWorker implements Copier {
  private worker: Worker | undefined;
  private readonly pending = new Map<number, PendingRequest>();
  private nextId = 1;
  private stopped = false;
  private keepsRunning = false;
  private leavingCluster: Promise<void> | undefined;
  /** Number of the most recently started worker. */
  private starts = 0;
  /** Number of short-lived workers in a row. */
  private failures = 0;
  /** Time of a monotonic clock. */
  private notBefore = 0;
  private restart: NodeJS.Timeout | undefined;
  /** Blobs that the current and earlier workers know, for the next one. */
  private readonly knownBlobs = new BoundedMap<string, KnownBlob>(MAX_KNOWN_BLOBS);

  constructor(
    private config: Config,
    private readonly log: Logger,
    private readonly events: {
      readonly onCloudEvent?: (event: CloudEvent) => void;
      readonly onClusterEvent?: (event: ClusterEvent) => void;
      readonly onRequests?: (report: RequestReport) => void;
      /** Called when the worker ended and another replaces it. */
      readonly onRestart?: () => void;
    } = {},
    private readonly overrides: { readonly program?: string; readonly restart?: number } = {},
  ) {}

  /** Starts the worker before the first copy, and restarts it if it dies: for logins to clouds, and for the cluster. */
  warm(): void {
    this.keepsRunning = true;
    if (this.leavingCluster === undefined) this.worker ??= this.start();
  }

  /** Reports to the worker's cluster side. */
  reportCopy(type: 'settled' | 'copied', report: CopyReport): void {
    if (this.worker !== undefined) post(this.worker, { type, report });
  }

  async copy(job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void): Promise<CopyOutcome> {
    if (this.hasEnded || signal.aborted) throw stopped(job.source);
    const { id, worker, answer } = this.request(job.source, onProgress, (message) =>
      message.type === 'done' ? message.outcome : undefined,
    );
    const onAbort = (): void => {
      post(worker, { type: 'cancel', id });
      this.pending.get(id)?.reject(stopped(job.source));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    post(worker, { type: 'copy', id, job });
    return answer.finally(() => signal.removeEventListener('abort', onAbort));
  }

  /** The Docker config of a Secret; only the worker loads the client for the cluster. */
  async readSecret(name: string, namespace: string | undefined): Promise<string> {
    if (this.hasEnded) throw stopped(`Secret ${name}`);
    const { id, worker, answer } = this.request(`Secret ${name}`, undefined, (message) =>
      message.type === 'secret' ? message.text : undefined,
    );
    post(worker, { type: 'read-secret', id, name, namespace });
    return answer;
  }

  /** The user of a token; undefined if the token is not valid for the audience. */
  async reviewToken(token: string, audience: string): Promise<string | undefined> {
    if (this.hasEnded) throw stopped('the token');
    const { id, worker, answer } = this.request('the token', undefined, (message) =>
      message.type === 'user' ? { name: message.name } : undefined,
    );
    post(worker, { type: 'review-token', id, token, audience });
    return (await answer).name;
  }

  /** The names in the targets that the table in the cluster has, which another replica may write. */
  async readTable(): Promise<readonly string[]> {
    if (this.hasEnded) throw stopped('the table');
    const { id, worker, answer } = this.request('the table', undefined, (message) =>
      message.type === 'table' ? message.names : undefined,
    );
    post(worker, { type: 'read-table', id });
    return answer;
  }

  /** Whether the Pod of the job may read its image, of this digest, at the source. */
  async checkAccess(job: MirrorJob, digest: string | undefined, milliseconds: number): Promise<SourceAccess> {
    if (this.hasEnded) throw stopped(job.source);
    const { id, worker, answer } = this.request(job.source, undefined, (message) =>
      message.type === 'access' ? message.access : undefined,
    );
    post(worker, { type: 'check-access', id, job, digest, milliseconds });
    return answer;
  }

  /** The login to a cloud's registry, `target NAME` or `source HOST`; only the worker loads the clouds' SDKs. */
  async logIn(registry: string, refused: LoginCredentials | undefined): Promise<RegistryLogin> {
    if (this.hasEnded) throw stopped(registry);
    const { id, worker, answer } = this.request(registry, undefined, (message) =>
      message.type === 'login' ? message.login : undefined,
    );
    post(worker, { type: 'log-in', id, registry, refused });
    return answer;
  }

  configure(config: Config): void {
    this.config = config;
    if (this.worker === undefined) return;
    post(this.worker, { type: 'configure', config, programs: neededPrograms(config, PROGRAMS) });
  }

  /**
   * Hands back the jobs that were taken from a queue server; running copies may finish within this many milliseconds.
   */
  async drain(grace: number): Promise<void> {
    if (this.worker === undefined || this.hasEnded) return;
    const { id, worker, answer } = this.request('the queue', undefined, (message) =>
      message.type === 'stopped' ? true : undefined,
    );
    post(worker, { type: 'drain', id, grace });
    await answer.catch(() => undefined);
  }

  /** The worker releases the Lease if it can reach the API server. Secrets and logins remain available. */
  leaveCluster(): Promise<void> {
    this.leavingCluster ??= this.worker === undefined ? Promise.resolve() : this.releaseLease();
    return this.leavingCluster;
  }

  async stop(): Promise<void> {
    await this.leaveCluster();
    this.stopped = true;
    await this.worker?.terminate();
  }

  private async releaseLease(): Promise<void> {
    const { id, worker, answer } = this.request('the cluster', undefined, (message) =>
      message.type === 'stopped' ? true : undefined,
    );
    post(worker, { type: 'stop', id });
    const released = answer.catch(() => undefined);
    await inTime<unknown>(released, LEASE_RELEASE_TIMEOUT_MS, () => undefined);
  }

  /**
   * A worker that dies after it left the cluster is not restarted, because the new one would take part in the election.
   */
  private get hasEnded(): boolean {
    return this.stopped || (this.leavingCluster !== undefined && this.worker === undefined);
  }

  private request<T>(
    what: string,
    onProgress: PendingRequest['onProgress'],
    read: (message: FromBackground) => T | undefined,
  ): { readonly id: number; readonly worker: Worker; readonly answer: Promise<T> } {
    const wait = this.notBefore - performance.now();
    if (this.worker === undefined && this.failures > 1 && wait > 0) {
      const problem = `the background worker ended ${this.failures} times in a row; restarting it in ${Math.ceil(wait / 1_000)} s`;
      throw new CopyFailedError({ reason: 'internal', message: `${what}: ${problem}`, retryable: true });
    }
    const worker = (this.worker ??= this.start());
    const id = this.nextId++;
    const answer = new Promise<T>((resolve, reject) => {
      this.pending.set(id, {
        what,
        answer: (message) => {
          const value = read(message);
          if (value !== undefined) resolve(value);
        },
        reject,
        ...(onProgress !== undefined && { onProgress }),
      });
    }).finally(() => this.pending.delete(id));
    return { id, worker, answer };
  }

  private start(): Worker {
    const workerData: BackgroundData = {
      role: 'background',
      config: this.config,
      programs: neededPrograms(this.config, PROGRAMS),
      knownBlobs: [...this.knownBlobs],
    };
    const started = performance.now();
    this.starts += 1;
    const endedWorker = this.starts;
    const worker = new Worker(this.overrides.program ?? unpack(BACKGROUND_PROGRAM), {
      eval: true,
      workerData,
      name: 'background',
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    });
    worker.on('message', (message: FromBackground) => this.receive(message));
    worker.on('error', (error) => this.log.error({ err: error.message }, 'the background worker failed'));
    worker.on('exit', (code) => {
      if (this.worker === worker) this.worker = undefined;
      const pause = this.pauseAfter(performance.now() - started);
      if (this.leavingCluster === undefined) this.events.onRestart?.();
      if (this.keepsRunning && this.leavingCluster === undefined) {
        // The leader is unknown until the next worker reports it.
        this.events.onClusterEvent?.({ kind: 'role', role: 'starting' });
        clearTimeout(this.restart);
        this.restart = setTimeout(() => this.warm(), pause).unref();
      }
      const message = `the background worker ended with code ${code}`;
      for (const { what, reject } of this.pending.values()) {
        reject(
          new CopyFailedError({ reason: 'internal', message: `${what}: ${message}`, retryable: true, endedWorker }),
        );
      }
    });
    worker.unref();
    return worker;
  }

  /** @returns the milliseconds until the next start */
  private pauseAfter(lived: number): number {
    const { restart = RESTART_PAUSE_MS } = this.overrides;
    this.failures = lived < HEALTHY_AFTER_MS ? this.failures + 1 : 1;
    const pause = Math.min(MAX_RESTART_PAUSE_MS, restart * 2 ** Math.min(this.failures - 1, 10));
    this.notBefore = performance.now() + pause;
    return pause;
  }

  private receive(message: FromBackground): void {
    if (message.type === 'log') {
      this.log[message.level](message.message);
      return;
    }
    if (message.type === 'ready') return;
    if (message.type === 'cloud') {
      this.events.onCloudEvent?.(message.event);
      return;
    }
    if (message.type === 'cluster') {
      this.events.onClusterEvent?.(message.event);
      return;
    }
    if (message.type === 'requests') {
      this.events.onRequests?.(message.report);
      return;
    }
    if (message.type === 'known-blobs') {
      for (const [key, blob] of message.changes) {
        if (blob === undefined) this.knownBlobs.delete(key);
        else this.knownBlobs.set(key, blob);
      }
      return;
    }
    const flight = this.pending.get(message.id);
    if (message.type === 'progress') flight?.onProgress?.(message.progress);
    else if (message.type === 'failed') flight?.reject(new CopyFailedError(message.failure));
    else flight?.answer(message);
  }
}

function post(worker: Worker, message: ToBackground): void {
  worker.postMessage(message);
}

function stopped(what: string): CopyFailedError {
  return new CopyFailedError({ reason: 'stopped', message: `${what}: the service is stopping`, retryable: true });
}
