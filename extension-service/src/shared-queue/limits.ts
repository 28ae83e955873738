import type { Config } from '../core/config/model.js';
import { copyLimits } from '../mirror/copy-limits.js';
import type { CopyLimits } from '../mirror/slots.js';

/** Maximum jobs that a replica takes from the queue for each of its copy slots. */
const MAX_PREFETCHED_PER_SLOT = 4;
/**
 * Maximum jobs to store for each slot. Replicas can take more than this, so copies that hang never keep other jobs from
 * being taken.
 */
const MAX_STORED_PER_SLOT = 3;

/**
 * How many jobs a replica takes from the queue at once. By default as many as it has slots, so that it takes no job
 * that another replica could start. The number grows by one each time when taken jobs wait and no copy ends: the
 * registries or namespaces of the running copies may hang, and the lanes choose among all taken jobs.
 */
export class PrefetchLimit {
  private count: number;

  constructor(private slots: number) {
    this.count = slots;
  }

  get current(): number {
    return this.count;
  }

  configure(slots: number): void {
    this.slots = slots;
    this.count = slots;
  }

  reset(): void {
    this.count = this.slots;
  }

  increase(): void {
    this.count = Math.min(this.count + 1, MAX_PREFETCHED_PER_SLOT * this.slots);
  }
}

/**
 * The copies that a replica stores in the queue at once. Its other copies wait in its own lanes, so that a namespace
 * with thousands of images does not block the queue for other namespaces.
 */
export function storedLimits(
  config: Pick<Config, 'mirror' | 'targets' | 'target' | 'queue'>,
  replicas: number,
): CopyLimits {
  if (config.queue.type === 'memory') return copyLimits(config);
  return { concurrency: MAX_STORED_PER_SLOT * config.mirror.concurrency * replicas };
}
