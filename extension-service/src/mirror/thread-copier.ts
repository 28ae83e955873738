import { Worker } from 'node:worker_threads';
import type { Config } from '../core/config/model.js';
import type { RegistryLogin } from '../credentials/renewed-login.js';
import type { CopyReport } from '../kubernetes/copy-report.js';
import { neededPrograms } from '../programs/needed.js';
import { PROGRAMS } from '../programs/programs.js';
import type { PasswordCredentials } from '../registry/types.js';
import type { CloudEvent } from '../targets/cloud.js';
import type { Logger } from '../telemetry/log.js';
import type { RequestReport } from '../telemetry/registry-requests.js';
import { COPY_THREAD_PROGRAM } from './copy-thread-program.js';
import { CopyFailedError } from './failure.js';
import type { Copier, CopyOutcome, CopyProgress, MirrorJob } from './job.js';
import type { ClusterEvent, CopyThreadData, FromCopyThread, ToCopyThread } from './thread-protocol.js';

/** Milliseconds until a thread that ended is started again; doubled with each that does not live long enough. */
const RESTART = 1_000;
const LONGEST_RESTART = 60_000;
/** Milliseconds after which a thread was well. */
const WELL = 60_000;
const LETTING_GO = 3_000;
/**
 * MiB of objects in the thread. V8 lets garbage pile up in proportion to what is allowed; half a million Pods fit in here,
 * and a thread that needs more is started anew while admissions go on.
 */
const MOST_HEAP = 512;

/** A copy, or the reading of a Secret, that the thread has not answered yet. */
interface Flight {
  readonly what: string;
  readonly answer: (message: FromCopyThread) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress?: (progress: CopyProgress) => void;
}

/**
 * Copies in a worker thread, so that hashing and piping never delay an admission (see docs/decisions/copy-thread.md).
 * A thread that dies fails its copies as retryable and is started anew by the next one; one that dies again and again is
 * left alone for a while.
 */
export class ThreadCopier implements Copier {
  private worker: Worker | undefined;
  private readonly flights = new Map<number, Flight>();
  private nextId = 1;
  private stopped = false;
  private warmed = false;
  private left: Promise<void> | undefined;
  /** Threads in a row that did not live long. */
  private failures = 0;
  /** Of a monotonic clock. */
  private notBefore = 0;
  private restart: NodeJS.Timeout | undefined;

  constructor(
    private config: Config,
    private readonly log: Logger,
    private readonly events: {
      readonly onCloudEvent?: (event: CloudEvent) => void;
      readonly onClusterEvent?: (event: ClusterEvent) => void;
      readonly onRequests?: (report: RequestReport) => void;
      /** The thread ended, and another will take its place. */
      readonly onRestart?: () => void;
    } = {},
    private readonly how: { readonly program?: string; readonly restart?: number } = {},
  ) {}

  /** Starts the thread before the first copy, and again should it die: for logins of clouds, and for the cluster. */
  warm(): void {
    this.warmed = true;
    if (this.left === undefined) this.worker ??= this.start();
  }

  /** Tells the thread's side in the cluster. */
  tell(type: 'settled' | 'copied', report: CopyReport): void {
    if (this.worker !== undefined) post(this.worker, { type, report });
  }

  async copy(job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void): Promise<CopyOutcome> {
    if (this.isOver || signal.aborted) throw stopped(job.source);
    const { id, worker, answer } = this.ask(job.source, onProgress, (message) =>
      message.type === 'done' ? message.outcome : undefined,
    );
    const onAbort = (): void => {
      post(worker, { type: 'cancel', id });
      this.flights.get(id)?.reject(stopped(job.source));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    post(worker, { type: 'copy', id, job });
    return answer.finally(() => signal.removeEventListener('abort', onAbort));
  }

  /** The Docker config of a Secret; the client for the cluster is loaded in the thread only. */
  async readSecret(name: string, namespace: string | undefined): Promise<string> {
    if (this.isOver) throw stopped(`Secret ${name}`);
    const { id, worker, answer } = this.ask(`Secret ${name}`, undefined, (message) =>
      message.type === 'secret' ? message.text : undefined,
    );
    post(worker, { type: 'read-secret', id, name, namespace });
    return answer;
  }

  /** The login of a cloud's registry, `target NAME` or `source HOST`; clouds' SDKs are loaded in the thread only. */
  async logIn(registry: string, refused: PasswordCredentials | undefined): Promise<RegistryLogin> {
    if (this.isOver) throw stopped(registry);
    const { id, worker, answer } = this.ask(registry, undefined, (message) =>
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

  /** The Lease is given back, if the API server is there to take it. Secrets and logins can still be asked for. */
  leaveCluster(): Promise<void> {
    this.left ??= this.worker === undefined ? Promise.resolve() : this.letGo();
    return this.left;
  }

  async stop(): Promise<void> {
    await this.leaveCluster();
    this.stopped = true;
    await this.worker?.terminate();
  }

  private async letGo(): Promise<void> {
    const { id, worker, answer } = this.ask('the cluster', undefined, (message) =>
      message.type === 'stopped' ? true : undefined,
    );
    post(worker, { type: 'stop', id });
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, LETTING_GO)));
    await Promise.race([answer.catch(() => undefined), patience]);
    clearTimeout(timer);
  }

  /** A thread that dies after it left the cluster is not started again: it would take part in the election. */
  private get isOver(): boolean {
    return this.stopped || (this.left !== undefined && this.worker === undefined);
  }

  private ask<T>(
    what: string,
    onProgress: Flight['onProgress'],
    read: (message: FromCopyThread) => T | undefined,
  ): { readonly id: number; readonly worker: Worker; readonly answer: Promise<T> } {
    const wait = this.notBefore - performance.now();
    if (this.worker === undefined && this.failures > 1 && wait > 0) {
      const again = `the copy thread has ended ${this.failures} times in a row and starts again in ${Math.ceil(wait / 1_000)} s`;
      throw new CopyFailedError({ reason: 'internal', message: `${what}: ${again}`, retryable: true });
    }
    const worker = (this.worker ??= this.start());
    const id = this.nextId++;
    const answer = new Promise<T>((resolve, reject) => {
      this.flights.set(id, {
        what,
        answer: (message) => {
          const value = read(message);
          if (value !== undefined) resolve(value);
        },
        reject,
        ...(onProgress !== undefined && { onProgress }),
      });
    }).finally(() => this.flights.delete(id));
    return { id, worker, answer };
  }

  private start(): Worker {
    const workerData: CopyThreadData = {
      role: 'copy-thread',
      config: this.config,
      programs: neededPrograms(this.config, PROGRAMS),
    };
    const started = performance.now();
    const worker = new Worker(this.how.program ?? COPY_THREAD_PROGRAM, {
      eval: true,
      workerData,
      name: 'copy',
      resourceLimits: { maxOldGenerationSizeMb: MOST_HEAP },
    });
    worker.on('message', (message: FromCopyThread) => this.receive(message));
    worker.on('error', (error) => this.log.error({ err: error.message }, 'the copy thread failed'));
    worker.on('exit', (code) => {
      if (this.worker === worker) this.worker = undefined;
      const pause = this.pauseAfter(performance.now() - started);
      if (this.left === undefined) this.events.onRestart?.();
      if (this.warmed && this.left === undefined) {
        // Whoever leads now has to be found out anew.
        this.events.onClusterEvent?.({ kind: 'role', role: 'starting' });
        clearTimeout(this.restart);
        this.restart = setTimeout(() => this.warm(), pause).unref();
      }
      const message = `the copy thread ended with code ${code}`;
      for (const { what, reject } of this.flights.values()) {
        reject(new CopyFailedError({ reason: 'internal', message: `${what}: ${message}`, retryable: true }));
      }
    });
    worker.unref();
    return worker;
  }

  /** @returns the milliseconds until the next start */
  private pauseAfter(lived: number): number {
    const { restart = RESTART } = this.how;
    this.failures = lived < WELL ? this.failures + 1 : 1;
    const pause = Math.min(LONGEST_RESTART, restart * 2 ** Math.min(this.failures - 1, 10));
    this.notBefore = performance.now() + pause;
    return pause;
  }

  private receive(message: FromCopyThread): void {
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
    const flight = this.flights.get(message.id);
    if (message.type === 'progress') flight?.onProgress?.(message.progress);
    else if (message.type === 'failed') flight?.reject(new CopyFailedError(message.failure));
    else flight?.answer(message);
  }
}

function post(worker: Worker, message: ToCopyThread): void {
  worker.postMessage(message);
}

function stopped(what: string): CopyFailedError {
  return new CopyFailedError({ reason: 'stopped', message: `${what}: the service is stopping`, retryable: true });
}
