import type { Config } from '../core/config/model.js';
import { copyLimits } from '../mirror/copy-limits.js';
import type { CopyLimits } from '../mirror/slots.js';

/** Jobs that a replica draws for each of its copy slots, at most. */
const DRAWN_PER_SLOT = 4;
/** Jobs that are stored for each slot: fewer than can be drawn, so that copies that hang never keep others from being drawn. */
const STORED_PER_SLOT = 3;

/**
 * How many jobs a replica has drawn at once. As many as it has slots, so that no replica takes what another one could begin.
 * While drawn jobs wait and none ends, one more each time: the registries or namespaces of those that run may hang, and the
 * lanes choose among what was drawn.
 */
export class DrawnAhead {
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

  ended(): void {
    this.count = this.slots;
  }

  stuck(): void {
    this.count = Math.min(this.count + 1, DRAWN_PER_SLOT * this.slots);
  }
}

/**
 * Copies that a replica which asks has in the queue at once. The others wait with it, in its lanes, so that a namespace
 * with thousands of images is ahead of no other one in the queue.
 */
export function storedLimits(
  config: Pick<Config, 'mirror' | 'targets' | 'target' | 'queue'>,
  replicas: number,
): CopyLimits {
  if (config.queue.type === 'memory') return copyLimits(config);
  return { concurrency: STORED_PER_SLOT * config.mirror.concurrency * replicas };
}
