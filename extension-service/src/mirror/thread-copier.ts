import { Worker } from 'node:worker_threads';
import type { Config } from '../core/config/model.js';
import type { Logger } from '../telemetry/log.js';
import { CopyFailedError } from './failure.js';
import type { Copier, CopyOutcome, CopyProgress, MirrorJob } from './job.js';
import type { CopyThreadData, FromCopyThread, ToCopyThread } from './thread-protocol.js';

interface Flight {
  readonly job: MirrorJob;
  readonly resolve: (outcome: CopyOutcome) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress: (progress: CopyProgress) => void;
}

/**
 * Copies in a worker thread, so that hashing and piping never delay an admission (see docs/decisions/copy-thread.md).
 * A thread that dies fails its copies as retryable and is started anew by the next one.
 */
export class ThreadCopier implements Copier {
  private worker: Worker | undefined;
  private readonly flights = new Map<number, Flight>();
  private nextId = 1;
  private stopped = false;

  constructor(
    /** The file that runs `runCopyThread` when it finds CopyThreadData: the bundle itself. */
    private readonly entry: string | URL,
    private config: Config,
    private readonly log: Logger,
  ) {}

  copy(job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void): Promise<CopyOutcome> {
    if (this.stopped || signal.aborted) return Promise.reject(stopped(job));
    const worker = (this.worker ??= this.start());
    const id = this.nextId++;
    return new Promise<CopyOutcome>((resolve, reject) => {
      const onAbort = (): void => {
        post(worker, { type: 'cancel', id });
        this.flights.delete(id);
        reject(stopped(job));
      };
      const end = <T>(settle: (value: T) => void) => {
        return (value: T): void => {
          signal.removeEventListener('abort', onAbort);
          settle(value);
        };
      };
      this.flights.set(id, { job, resolve: end(resolve), reject: end(reject), onProgress });
      signal.addEventListener('abort', onAbort, { once: true });
      post(worker, { type: 'copy', id, job });
    });
  }

  configure(config: Config): void {
    this.config = config;
    if (this.worker !== undefined) post(this.worker, { type: 'configure', config });
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.worker?.terminate();
  }

  private start(): Worker {
    const workerData: CopyThreadData = { role: 'copy-thread', config: this.config };
    const worker = new Worker(this.entry, { workerData, name: 'copy' });
    worker.on('message', (message: FromCopyThread) => this.receive(message));
    worker.on('error', (error) => this.log.error({ err: error.message }, 'the copy thread failed'));
    worker.on('exit', (code) => {
      if (this.worker === worker) this.worker = undefined;
      const message = `the copy thread ended with code ${code}`;
      for (const [id, { job, reject }] of this.flights) {
        this.flights.delete(id);
        reject(new CopyFailedError({ reason: 'internal', message: `${job.source}: ${message}`, retryable: true }));
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
    const flight = this.flights.get(message.id);
    if (flight === undefined) return;
    if (message.type === 'progress') {
      flight.onProgress(message.progress);
      return;
    }
    this.flights.delete(message.id);
    if (message.type === 'done') flight.resolve(message.outcome);
    else flight.reject(new CopyFailedError(message.failure));
  }
}

function post(worker: Worker, message: ToCopyThread): void {
  worker.postMessage(message);
}

function stopped(job: MirrorJob): CopyFailedError {
  return new CopyFailedError({ reason: 'stopped', message: `${job.source}: the service is stopping`, retryable: true });
}
