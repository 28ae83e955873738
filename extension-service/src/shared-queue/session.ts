import { createHash, randomUUID } from 'node:crypto';
import type { ConnectionOptions, Job, QueueEvents, Worker } from 'bullmq';
import { messageOf } from '../util/message-of.js';
import { inTime } from '../util/in-time.js';
import { claimFor } from './install.js';
import type { StoredJobs } from './install.js';
import type { JobBody } from './job-body.js';
import type { OpenedServer } from './kind.js';
import { QueueServerError } from './kind.js';
import { LEASE_OPTIONS, LOCK_MS, MAX_CLOCK_DIFFERENCE_MS } from './lease.js';
import { sleep } from '../util/sleep.js';

/** Maximum events that the server keeps; results are read within milliseconds. */
const MAX_EVENTS = 2_000;
/**
 * How long, in seconds, and how many results are kept, because an event can be missed: PostgreSQL returns events in the
 * order of their numbers and not of their commits.
 */
const KEPT_RESULTS = { age: 60, count: 500 };
/** Time limit in milliseconds for an answer of the server. */
const ANSWER_TIMEOUT_MS = 3_000;
/** The same for opening a session, which may create tables. */
const OPEN_TIMEOUT_MS = 20_000;
/** Pause before events are read again. */
const EVENTS_PAUSE_MS = 1_000;

/** BullMQ's messages for a lease that another replica has taken over, and for a job that no longer exists. */
const LEASE_ERRORS = /could not renew lock|Missing lock|Missing key for job|Lock mismatch|is not in the active state/i;
const CONNECTION_ERRORS =
  /ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|Connection (?:is closed|terminated|ended)|not queryable|Client has|LOADING|READONLY|All sentinels|timeout exceeded|terminating connection|starting up|shutting down/i;

/** A job that this replica has taken from the queue. */
export interface TakenJob {
  readonly id: string;
  readonly data: unknown;
  /** Aborts when the lease is lost. */
  readonly signal: AbortSignal;
}

/** The result of a job that this replica gives back, so that another replica takes it. */
export const RETURNED = Symbol('returned');

export interface SessionOptions {
  readonly install: { readonly id: string; readonly title: string };
  readonly prefix: string;
  /** Maximum number of jobs that this replica takes at once. */
  readonly prefetch: number;
  readonly processJob: (job: TakenJob) => Promise<object | typeof RETURNED>;
  readonly onResult: (id: string, value: unknown) => void;
  /** Called for a job that is given up, because too many replicas ended while they had it. */
  readonly onGivenUp: (id: string, reason: string) => void;
  /** Called for faults of the server, of the data on it, or of the clock here, but not of the connection. */
  readonly onFault: (message: string) => void;
  readonly onDebug: (message: string) => void;
}

interface Lease {
  renewed: number;
  readonly abort: AbortController;
}

/** The BullMQ objects of one connection to a queue server. */
export class Session {
  private readonly leases = new Map<string, Lease>();
  private readonly watch: NodeJS.Timeout;
  /** Milliseconds from the start of the monotonic clock's time to the epoch; changes when someone sets the clock. */
  private readonly clockOffset = wallClockOffset();
  private closed = false;

  private constructor(
    private readonly queue: StoredJobs,
    private readonly installs: StoredJobs,
    private readonly worker: Pick<Worker, 'concurrency' | 'pause' | 'resume' | 'close'>,
    private readonly events: Pick<QueueEvents, 'run' | 'close' | 'disconnect'>,
    private readonly options: SessionOptions,
    usesReplicaClocks: boolean,
  ) {
    this.watch = setInterval(() => {
      this.expire();
      if (usesReplicaClocks) this.checkClock();
    }, 1_000).unref();
  }

  /** @throws Error if the server does not answer; QueueServerError if another install uses the queue */
  static async open(server: OpenedServer, options: SessionOptions): Promise<Session> {
    const { Queue, QueueEvents, Worker, WaitingError } = await import('./bullmq.js');
    const { connection, prefix, backend, usesReplicaClocks = false } = server;
    const base = { connection: connection as ConnectionOptions, ...(prefix !== undefined && { prefix }) };
    const queue = new Queue('copies', { ...base, streams: { events: { maxLen: MAX_EVENTS } } }, backend);
    const installs = new Queue('installs', { ...base, streams: { events: { maxLen: 10 } } }, backend);
    const events = new QueueEvents('copies', { ...base, autorun: false }, backend);
    const worker = new Worker(
      'copies',
      async (job: Job, token = '') => {
        const result = await session.process(job);
        if (result !== RETURNED) return result;
        await job.moveToWait(token);
        throw new WaitingError();
      },
      {
        ...base,
        name: `${shortOf(options.install.id)}-${randomUUID()}`,
        autorun: false,
        concurrency: options.prefetch,
        ...LEASE_OPTIONS,
        runRetryDelay: 1_000,
        removeOnComplete: KEPT_RESULTS,
        removeOnFail: { count: 0 },
      },
      backend,
    );
    const session: Session = new Session(queue, installs, worker, events, options, usesReplicaClocks);
    const onError = (error: Error): void => session.failed(error);
    for (const one of [queue, installs]) one.on('error', onError);
    events.on('error', onError);
    worker.on('error', onError);
    worker.on('locksRenewed', ({ jobIds }) => session.renewed(jobIds));
    worker.on('lockRenewalFailed', (ids) => session.abortJobs(ids));
    events.on('completed', ({ jobId, returnvalue }) => options.onResult(jobId, returnvalue));
    events.on('failed', ({ jobId, failedReason }) => options.onGivenUp(jobId, failedReason));
    try {
      await answered(
        Promise.all([queue, installs, events, worker].map((one) => one.waitUntilReady())),
        'to connect',
        OPEN_TIMEOUT_MS,
      );
      await session.heartbeat();
      void session.readEvents();
      worker.run().catch((error: unknown) => session.failed(error));
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /**
   * Stores a job. Has no effect while a job with this id waits or runs. Replaces a job that has ended and was kept.
   *
   * @param group only one job of a group is stored at a time, for all replicas together
   * @returns false while another job of the group is stored
   */
  async publish(id: string, group: string, body: JobBody): Promise<boolean> {
    const options = {
      jobId: id,
      deduplication: { id: group },
      removeOnComplete: KEPT_RESULTS,
      removeOnFail: true,
    };
    const stored = await this.queue.add('copy', body, options);
    if (stored.id !== id) return false;
    const state = await this.queue.getJobState(id);
    if (state !== 'completed' && state !== 'failed') return true;
    await this.queue.remove(id);
    return (await this.queue.add('copy', body, options)).id === id;
  }

  /** The result of a job that has ended and was kept; undefined for any other job. */
  async result(id: string): Promise<{ readonly value: unknown } | undefined> {
    const job = await this.queue.getJob(id);
    return job?.finishedOn === undefined ? undefined : { value: job.returnvalue as unknown };
  }

  /**
   * Checks that the server answers, and keeps the queue marked as used by this install.
   *
   * @returns the number of this install's replicas that are connected
   */
  async heartbeat(): Promise<number> {
    const { install, prefix } = this.options;
    const work = async (): Promise<number> => {
      // Fails if a key has another type.
      await this.queue.getJobCounts('wait', 'active', 'delayed', 'prioritized', 'completed', 'failed');
      const names = await this.replicaNames();
      const alive = new Set(names.map((name) => name.split('-')[0] ?? ''));
      await claimFor({ ...install, id: shortOf(install.id) }, this.installs, alive, prefix);
      return Math.max(1, names.filter((name) => name.startsWith(`${shortOf(install.id)}-`)).length);
    };
    return answered(work(), 'to respond');
  }

  /** Maximum number of jobs that this replica takes at once. */
  async setPrefetch(count: number): Promise<void> {
    const before = this.worker.concurrency;
    this.worker.concurrency = count;
    if (count <= before || this.closed) return;
    // BullMQ reads the number only when a job ends or the worker resumes.
    await this.worker.pause(true);
    await this.worker.resume();
  }

  /** Takes no more jobs. Jobs that were already taken may end. */
  async stopTakingJobs(): Promise<void> {
    await answered(this.worker.pause(true), 'to stop').catch(() => undefined);
  }

  /** Resolves when all taken jobs have ended and the server knows this, or does not answer. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.watch);
    for (const { abort } of this.leases.values()) abort.abort();
    await answered(this.worker.close(), 'to return the jobs it had taken').catch(() => undefined);
    const all = [this.worker.close(true), this.events.close(), this.queue.close(), this.installs.close()];
    await answered(Promise.allSettled(all), 'to close').catch(() => undefined);
    for (const one of [this.events, this.queue, this.installs]) void one.disconnect().catch(() => undefined);
  }

  private async process(job: Job): Promise<object | typeof RETURNED> {
    const id = job.id ?? '';
    const lease: Lease = { renewed: performance.now(), abort: new AbortController() };
    this.leases.set(id, lease);
    try {
      return await this.options.processJob({ id, data: job.data as unknown, signal: lease.abort.signal });
    } finally {
      this.leases.delete(id);
    }
  }

  private renewed(ids: readonly string[]): void {
    for (const id of ids) {
      const lease = this.leases.get(id);
      if (lease !== undefined) lease.renewed = performance.now();
    }
  }

  private abortJobs(ids: readonly string[]): void {
    for (const id of ids) this.leases.get(id)?.abort.abort();
  }

  /** An entry that is not an event ends the reading, which restarts after that entry. */
  private async readEvents(): Promise<void> {
    while (!this.closed) {
      await this.events.run().catch((error: unknown) => this.failed(error));
      if (!this.closed) await sleep(EVENTS_PAUSE_MS, undefined, { ref: false });
    }
  }

  private failed(error: unknown): void {
    if (this.closed) return;
    const message = messageOf(error);
    if (LEASE_ERRORS.test(message) || CONNECTION_ERRORS.test(message)) this.options.onDebug(message);
    else this.options.onFault(`the queue server or what it stores is unusable: ${message}`);
  }

  /** Leases that depend on this clock are wrong after someone has set it. The next connection compares the clocks. */
  private checkClock(): void {
    const difference = Math.round((wallClockOffset() - this.clockOffset) / 1_000);
    if (this.closed || Math.abs(difference) * 1_000 <= MAX_CLOCK_DIFFERENCE_MS) return;
    this.options.onFault(`the clock here was set ${difference > 0 ? 'forward' : 'back'} by ${Math.abs(difference)} s`);
  }

  /** Aborts jobs whose leases could not be renewed, before another replica can take them. */
  private expire(): void {
    const oldest = performance.now() - LOCK_MS + 2_000;
    for (const { renewed, abort } of this.leases.values()) if (renewed < oldest) abort.abort();
  }

  private async replicaNames(): Promise<readonly string[]> {
    const workers = await this.queue.getWorkers().catch((error: unknown) => {
      this.options.onDebug(`the replicas cannot be counted: ${messageOf(error)}`);
      return [];
    });
    return workers.flatMap(({ rawname = '' }) => /:w:(.+)$/.exec(rawname)?.slice(1) ?? []);
  }
}

function wallClockOffset(): number {
  return Date.now() - performance.now();
}

/** PostgreSQL limits the names of connections to 63 bytes. */
function shortOf(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 12);
}

/** @throws QueueServerError if the work takes longer than `limit` */
async function answered<T>(work: Promise<T>, what: string, limit = ANSWER_TIMEOUT_MS): Promise<T> {
  return inTime(work, limit, () => {
    throw new QueueServerError(`the queue server needed more than ${limit / 1_000} s ${what}`);
  });
}
