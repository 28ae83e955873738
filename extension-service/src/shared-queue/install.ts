import type { Queue } from 'bullmq';
import { QueueServerError } from './kind.js';

/** A queue of BullMQ, whatever stores it. */
export type StoredJobs = Pick<
  Queue,
  'add' | 'remove' | 'getJob' | 'getJobState' | 'getJobCounts' | 'getWorkers' | 'close' | 'disconnect'
>;

/** The one job of a queue of its own: BullMQ adds nothing under an id that exists, so that the first install has it. */
const RECORD = 'install';

/**
 * Marks the queue as this install's. Another install that has it and is alive keeps it; one of which no replica is
 * connected loses it.
 *
 * @param installs queue of the record
 * @param alive installs of which a replica is connected
 * @throws QueueServerError when another install uses the queue
 */
export async function claimFor(
  install: { readonly id: string; readonly title: string },
  installs: StoredJobs,
  alive: ReadonlySet<string>,
  prefix: string,
): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    await installs.add(RECORD, install, { jobId: RECORD });
    const job = await installs.getJob(RECORD);
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
