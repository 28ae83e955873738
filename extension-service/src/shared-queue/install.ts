import type { Queue } from 'bullmq';
import { QueueServerError } from './kind.js';

/** A BullMQ queue, regardless of the server that stores it. */
export type StoredJobs = Pick<
  Queue,
  'add' | 'remove' | 'getJob' | 'getJobState' | 'getJobCounts' | 'getWorkers' | 'close' | 'disconnect'
>;

/**
 * The only job of a separate queue. BullMQ does not replace a job whose id exists, so the first install keeps the
 * record.
 */
const INSTALL_KEY = 'install';

/**
 * Marks the queue as used by this install. If the queue is marked for another install, that install keeps it while one
 * of its replicas is connected.
 *
 * @param installs the queue that contains the record
 * @param alive the installs that have a connected replica
 * @throws QueueServerError when another install uses the queue
 */
export async function claimFor(
  install: { readonly id: string; readonly title: string },
  installs: StoredJobs,
  alive: ReadonlySet<string>,
  prefix: string,
): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    await installs.add(INSTALL_KEY, install, { jobId: INSTALL_KEY });
    const job = await installs.getJob(INSTALL_KEY);
    const holder = (job?.data ?? {}) as { readonly id?: unknown; readonly title?: unknown };
    if (holder.id === install.id) return;
    if (typeof holder.id === 'string' && alive.has(holder.id)) {
      const title = typeof holder.title === 'string' ? holder.title.slice(0, 200) : 'unknown';
      throw new QueueServerError(
        `the queue ${prefix} is used by another install (${title}), and this one is ${install.title}: set queue.prefix to another name in one of them`,
      );
    }
    await job?.remove();
  }
  throw new QueueServerError(`the queue ${prefix} does not keep its record of the install`);
}
