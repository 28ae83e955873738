import { randomUUID } from 'node:crypto';
import type { ConnectionOptions } from 'bullmq';
import { messageOf } from '../util/message-of.js';
import type { Finding, OpenedServer } from './kind.js';
import { inTime } from '../util/in-time.js';

/** Time limit for the job, in milliseconds. */
const TRIAL_TIMEOUT_MS = 10_000;
/** The same for closing the connections. */
const CLOSE_TIMEOUT_MS = 3_000;

/**
 * Stores a job in a queue of its own, takes it, reads its result and deletes the queue, which needs the same rights as
 * copies.
 */
export async function tryJob({ connection, prefix, backend }: OpenedServer): Promise<Finding> {
  const { Queue, QueueEvents, Worker } = await import('./bullmq.js');
  const base = { connection: connection as ConnectionOptions, ...(prefix !== undefined && { prefix }) };
  const name = `check-${randomUUID().slice(0, 8)}`;
  const queue = new Queue(name, base, backend);
  // Also reads events from before it connects.
  const events = new QueueEvents(name, { ...base, lastEventId: '0-0' }, backend);
  const worker = new Worker(name, () => Promise.resolve('done'), { ...base, name }, backend);
  const all = [queue, events, worker];
  let timer: NodeJS.Timeout | undefined;
  const failed = new Promise<never>((_, reject) => {
    const message = `the job has no result after ${TRIAL_TIMEOUT_MS / 1_000} s`;
    timer = setTimeout(() => reject(new Error(message)), TRIAL_TIMEOUT_MS);
    queue.on('error', reject);
    events.on('error', reject);
    worker.on('error', reject);
  });
  const run = async (): Promise<Finding> => {
    await Promise.all(all.map((one) => one.waitUntilReady()));
    // BullMQ's own wait for a result continues after a failure, and cannot be ended.
    const completed = new Promise<void>((resolve) => events.on('completed', () => resolve()));
    await queue.add('check', {}, { removeOnComplete: true });
    await completed;
    const workers = await queue.getWorkers().catch(() => []);
    if (workers.some(({ rawname = '' }) => rawname.endsWith(name))) {
      return { check: 'rights', ok: true, message: 'stores and returns jobs' };
    }
    const message =
      'the user may not list connections (CLIENT LIST), so replicas are not counted and do not divide the budgets of registries';
    return { check: 'rights', ok: false, state: 'refused', message };
  };
  try {
    return await Promise.race([run(), failed]);
  } catch (error) {
    return { check: 'rights', ok: false, state: 'refused', message: `cannot store and take jobs: ${messageOf(error)}` };
  } finally {
    // A server that stops answering meanwhile must not keep the check from ending.
    await Promise.race([queue.obliterate({ force: true }), failed]).catch(() => undefined);
    const closed = Promise.allSettled([worker.close(true), events.close(), queue.close()]);
    await inTime<unknown>(closed, CLOSE_TIMEOUT_MS, () => undefined);
    clearTimeout(timer);
    for (const one of [queue, events]) void one.disconnect().catch(() => undefined);
  }
}
