import { Worker } from 'node:worker_threads';
import type { Config } from '../core/config/model.js';
import type { RegistryLogin } from '../credentials/renewed-login.js';
import { neededPrograms } from '../programs/needed.js';
import { PROGRAMS } from '../programs/programs.js';
import type { PasswordCredentials } from '../registry/types.js';
import type { ServingPair } from '../kubernetes/serving-certificate/serving-certificate.js';
import type { CloudEvent } from '../targets/cloud.js';
import type { Logger } from '../telemetry/log.js';
import { COPY_THREAD_PROGRAM } from './copy-thread-program.js';
import { CopyFailedError } from './failure.js';
import type { Copier, CopyOutcome, CopyProgress, MirrorJob } from './job.js';
import type { CopyThreadData, FromCopyThread, ToCopyThread } from './thread-protocol.js';

/** A copy, or the reading of a Secret, that the thread has not answered yet. */
interface Flight {
  readonly what: string;
  readonly answer: (message: FromCopyThread) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress?: (progress: CopyProgress) => void;
}

/** What the thread tells without being asked. */
export interface ThreadListeners {
  readonly onCloudEvent?: (event: CloudEvent) => void;
  /** With `tls.mode: selfSigned`: present this from now on. */
  readonly onServingCertificate?: (pair: ServingPair) => void;
  /** What keeps the thread from having one. */
  readonly onServingCertificateProblem?: (message: string) => void;
}

/** Milliseconds before a thread that ended is started again, where it has to run. */
const RESTART = 1_000;

/**
 * Copies in a worker thread, so that hashing and piping never delay an admission (see docs/decisions/copy-thread.md).
 * A thread that dies fails its copies as retryable and is started anew by the next one.
 */
export class ThreadCopier implements Copier {
  private worker: Worker | undefined;
  private readonly flights = new Map<number, Flight>();
  private nextId = 1;
  private stopped = false;
  private kept = false;

  constructor(
    private config: Config,
    private readonly log: Logger,
    private readonly listeners: ThreadListeners = {},
  ) {}

  /**
   * Starts the thread before the first copy, and again whenever it ends: for logins of clouds, which take a while, and
   * for what it does in the cluster.
   */
  warm(): void {
    this.kept = true;
    if (!this.stopped) this.worker ??= this.start();
  }

  async copy(job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void): Promise<CopyOutcome> {
    if (this.stopped || signal.aborted) throw stopped(job.source);
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
    if (this.stopped) throw stopped(`Secret ${name}`);
    const { id, worker, answer } = this.ask(`Secret ${name}`, undefined, (message) =>
      message.type === 'secret' ? message.text : undefined,
    );
    post(worker, { type: 'read-secret', id, name, namespace });
    return answer;
  }

  /** The login of a cloud's registry, `target NAME` or `source HOST`; clouds' SDKs are loaded in the thread only. */
  async logIn(registry: string, refused: PasswordCredentials | undefined): Promise<RegistryLogin> {
    if (this.stopped) throw stopped(registry);
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

  async stop(): Promise<void> {
    this.stopped = true;
    await this.worker?.terminate();
  }

  private ask<T>(
    what: string,
    onProgress: Flight['onProgress'],
    read: (message: FromCopyThread) => T | undefined,
  ): { readonly id: number; readonly worker: Worker; readonly answer: Promise<T> } {
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
    const worker = new Worker(COPY_THREAD_PROGRAM, {
      eval: true,
      workerData,
      name: 'copy',
    });
    worker.on('message', (message: FromCopyThread) => this.receive(message));
    worker.on('error', (error) => this.log.error({ err: error.message }, 'the copy thread failed'));
    worker.on('exit', (code) => {
      if (this.worker === worker) this.worker = undefined;
      if (this.kept) setTimeout(() => this.warm(), RESTART).unref();
      const message = `the copy thread ended with code ${code}`;
      for (const { what, reject } of this.flights.values()) {
        reject(new CopyFailedError({ reason: 'internal', message: `${what}: ${message}`, retryable: true }));
      }
    });
    worker.unref();
    return worker;
  }

  private receive(message: FromCopyThread): void {
    if (message.type === 'log') {
      this.log[message.level](message.message);
      return;
    }
    if (message.type === 'ready') return;
    if (message.type === 'cloud') {
      this.listeners.onCloudEvent?.(message.event);
      return;
    }
    if (message.type === 'serving-certificate') {
      this.listeners.onServingCertificate?.(message.pair);
      return;
    }
    if (message.type === 'serving-certificate-problem') {
      this.listeners.onServingCertificateProblem?.(message.message);
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
