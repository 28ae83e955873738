import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { Entry } from './entry.js';
import { ShareLanes, isAwaited } from './share-lanes.js';
import { Slots } from './slots.js';
import type { CopyLimits } from './slots.js';

/**
 * Waiting copies. The namespace with the fewest slots goes first; among equals, one that an admission waits for, then
 * they take turns. Within a namespace see {@link ShareLanes}. A copy that several namespaces need is in the lanes of
 * each. Counts running copies, so that no registry and no namespace exceeds its limit.
 */
export class Lanes {
  /** In the order of their turns. */
  private readonly shares = new Map<string, ShareLanes>();
  private readonly slots: Slots;

  constructor(limits: CopyLimits) {
    this.slots = new Slots(limits);
  }

  configure(limits: CopyLimits): void {
    this.slots.configure(limits);
  }

  add(entry: Entry): void {
    for (const share of entry.shares) this.addTo(entry, share);
  }

  /** One more namespace needs an entry, which may be waiting. */
  join(entry: Entry, share: string): void {
    if (entry.state === 'queued' && !entry.shares.has(share)) this.addTo(entry, share);
    entry.shares.add(share);
  }

  /** An admission now waits for it. */
  prefer(entry: Entry): void {
    for (const share of entry.shares) this.shares.get(share)?.prefer(entry);
  }

  /** It no longer waits. */
  drop(entry: Entry): void {
    for (const share of entry.shares) {
      const lanes = this.shares.get(share);
      lanes?.drop(entry);
      if (lanes?.isEmpty === true) this.shares.delete(share);
    }
  }

  /** The next copy that may run, which then counts as running. */
  take(mayRun: (entry: Entry) => boolean): Entry | undefined {
    for (const equals of this.byHeldSlots()) {
      const next = this.firstOf(equals, (entry) => isAwaited(entry) && mayRun(entry)) ?? this.firstOf(equals, mayRun);
      if (next === undefined) continue;
      const { entry, share } = next;
      this.drop(entry);
      // Moves to the end of the turns.
      const lanes = this.shares.get(share);
      if (lanes !== undefined && this.shares.delete(share)) this.shares.set(share, lanes);
      entry.slot = share;
      this.slots.take(entry.job, share);
      return entry;
    }
    return undefined;
  }

  /** The copy that was taken has ended. @param job as it was when it was taken */
  release(entry: Entry, job: MirrorJob): void {
    if (entry.slot === undefined) return;
    this.slots.release(job, entry.slot);
    delete entry.slot;
  }

  /** The waiting copies that read from or write to a registry. */
  of(host: string): Entry[] {
    return this.collect((lanes) => lanes.of(host));
  }

  /** Removes these entries. */
  remove(host: string): Entry[] {
    return this.dropAll(this.of(host));
  }

  removeAll(): Entry[] {
    return this.dropAll(this.collect((lanes) => lanes.all()));
  }

  /** Nothing runs. */
  get isIdle(): boolean {
    return this.slots.isIdle;
  }

  private addTo(entry: Entry, share: string): void {
    const lanes = this.shares.get(share) ?? new ShareLanes();
    this.shares.set(share, lanes);
    lanes.add(entry);
  }

  /** Namespaces that may have one more slot, from the fewest slots to the most. */
  private byHeldSlots(): string[][] {
    const groups = new Map<number, string[]>();
    for (const share of this.shares.keys()) {
      if (!this.slots.mayStart(share)) continue;
      const held = this.slots.heldBy(share);
      const group = groups.get(held);
      if (group === undefined) groups.set(held, [share]);
      else group.push(share);
    }
    return [...groups].sort(([a], [b]) => a - b).map(([, shares]) => shares);
  }

  private firstOf(
    shares: readonly string[],
    mayRun: (entry: Entry) => boolean,
  ): { readonly entry: Entry; readonly share: string } | undefined {
    for (const share of shares) {
      const entry = this.shares.get(share)?.next((next) => this.slots.hasRoom(next.job, share) && mayRun(next));
      if (entry !== undefined) return { entry, share };
    }
    return undefined;
  }

  private collect(of: (lanes: ShareLanes) => readonly Entry[]): Entry[] {
    return [...new Set([...this.shares.values()].flatMap(of))];
  }

  private dropAll(entries: Entry[]): Entry[] {
    for (const entry of entries) this.drop(entry);
    return entries;
  }
}
