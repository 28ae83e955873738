import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { Entry } from './entry.js';
import { placesOf, shareOf } from './share-of.js';
import { Tally } from '../util/tally.js';

/**
 * Shares of the queue's places. While there is room, anyone may use all of them. When the queue is full, a namespace
 * with fewer places than the largest one takes a place from that one, so a full queue only rejects the namespaces that
 * filled it. It only uses jobs and counts, so that a queue outside the process can follow the same rule.
 */
export class QueueShares {
  private readonly members = new Map<string, Set<Entry>>();
  private readonly places = new Tally();
  private taken = 0;

  constructor(readonly capacity: number) {}

  /** Entries that have a place. */
  get size(): number {
    let size = 0;
    for (const entries of this.members.values()) size += entries.size;
    return size;
  }

  add(entry: Entry): void {
    const entries = this.members.get(entry.share) ?? new Set();
    this.members.set(entry.share, entries.add(entry));
    this.change(entry, 1);
  }

  remove(entry: Entry): void {
    const entries = this.members.get(entry.share);
    if (entries?.delete(entry) !== true) return;
    if (entries.size === 0) this.members.delete(entry.share);
    this.change(entry, -1);
  }

  /** Whether a job may enter: at once, never, or once the given entry has left. */
  admit(job: MirrorJob): 'room' | 'full' | Entry {
    const needed = placesOf(job);
    if (this.taken + needed <= this.capacity) return 'room';
    const largest = this.places.largest();
    if (largest === undefined || this.places.of(shareOf(job)) + needed > this.places.of(largest) - 1) return 'full';
    return [...(this.members.get(largest) ?? [])].findLast(canBeEvicted) ?? 'full';
  }

  private change({ share, places }: Entry, sign: 1 | -1): void {
    this.places.change(share, sign * places);
    this.taken += sign * places;
  }
}

/** Running copies have already cost something, and copies for several namespaces do not belong to one of them. */
function canBeEvicted({ state, shares }: Entry): boolean {
  return (state === 'queued' || state === 'waiting') && shares.size === 1;
}
