import type { Config } from '../core/config/model.js';
import { targetsOf } from '../core/config/registries.js';
import { sourceHost, targetHost } from '../core/decide/mirror-job.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { Entry } from './entry.js';
import { placeOf } from '../kinds/registry-naming.js';

/** Copies at once. */
export interface CopyLimits {
  readonly concurrency: number;
  /** From one source registry. @default concurrency */
  readonly perSource?: number;
  /** To one target registry. @default concurrency */
  readonly perTarget?: number;
}

/**
 * Unless the configuration says otherwise, a registry leaves one place to the others, so that one that hangs never holds
 * up all copies. A target that is the only one has them all.
 */
export function copyLimits(config: Pick<Config, 'mirror' | 'targets' | 'target'>): CopyLimits {
  const { concurrency, perSource, perTarget } = config.mirror;
  const leaveOne = Math.max(1, concurrency - 1);
  const hosts = new Set(targetsOf(config).map((target) => placeOf(target).host));
  return {
    concurrency,
    perSource: perSource ?? leaveOne,
    perTarget: perTarget ?? (hosts.size > 1 ? leaveOne : concurrency),
  };
}

/**
 * Copies that wait, in a lane for each pair of registries: first come first served in a lane, and the lanes take turns.
 * What an admission waits for goes before everything else. Counts what runs, so that no registry has more than its limit.
 */
export class Lanes {
  /** In the order of their turns. */
  private readonly lanes = new Map<string, Entry[]>();
  private readonly sources = new Tally();
  private readonly targets = new Tally();
  private running = 0;

  constructor(private limits: CopyLimits) {}

  configure(limits: CopyLimits): void {
    this.limits = limits;
  }

  add(entry: Entry): void {
    const key = laneOf(entry);
    const lane = this.lanes.get(key);
    if (lane === undefined) this.lanes.set(key, [entry]);
    else if (isAwaited(entry)) lane.splice(endOfAwaited(lane), 0, entry);
    else lane.push(entry);
  }

  /** An admission waits for it now. */
  prefer(entry: Entry): void {
    const lane = this.lanes.get(laneOf(entry));
    const place = lane?.indexOf(entry) ?? -1;
    if (lane === undefined || place < 0) return;
    lane.splice(place, 1);
    lane.splice(endOfAwaited(lane), 0, entry);
  }

  /** It does not wait any more. */
  drop(entry: Entry): void {
    const key = laneOf(entry);
    const lane = this.lanes.get(key);
    const place = lane?.indexOf(entry) ?? -1;
    if (lane === undefined || place < 0) return;
    lane.splice(place, 1);
    if (lane.length === 0) this.lanes.delete(key);
  }

  /** The next copy that may run, which then counts as running. */
  take(mayRun: (entry: Entry) => boolean): Entry | undefined {
    if (this.running >= this.limits.concurrency) return undefined;
    return this.takeWhere((entry) => isAwaited(entry) && mayRun(entry)) ?? this.takeWhere(mayRun);
  }

  private takeWhere(mayRun: (entry: Entry) => boolean): Entry | undefined {
    for (const [key, lane] of this.lanes) {
      const [entry] = lane;
      if (entry === undefined || !this.hasRoom(entry.job) || !mayRun(entry)) continue;
      lane.shift();
      // To the end of the turns.
      this.lanes.delete(key);
      if (lane.length > 0) this.lanes.set(key, lane);
      this.running += 1;
      this.sources.change(sourceHost(entry.job), 1);
      this.targets.change(targetHost(entry.job), 1);
      return entry;
    }
    return undefined;
  }

  /** The copy that was taken has ended. */
  release(job: MirrorJob): void {
    this.running -= 1;
    this.sources.change(sourceHost(job), -1);
    this.targets.change(targetHost(job), -1);
  }

  /** What waits and reads from or writes to a registry. */
  of(host: string): Entry[] {
    return [...this.lanes.values()].filter((lane) => lane.some(({ job }) => concerns(job, host))).flat();
  }

  /** Takes that out. */
  remove(host: string): Entry[] {
    return this.removeLanes((lane) => lane.some(({ job }) => concerns(job, host)));
  }

  removeAll(): Entry[] {
    return this.removeLanes(() => true);
  }

  /** Nothing runs. */
  get isIdle(): boolean {
    return this.running === 0;
  }

  private hasRoom(job: MirrorJob): boolean {
    const { concurrency, perSource = concurrency, perTarget = concurrency } = this.limits;
    return this.sources.of(sourceHost(job)) < perSource && this.targets.of(targetHost(job)) < perTarget;
  }

  private removeLanes(wanted: (lane: readonly Entry[]) => boolean): Entry[] {
    const removed = [...this.lanes].filter(([, lane]) => wanted(lane));
    for (const [key] of removed) this.lanes.delete(key);
    return removed.flatMap(([, lane]) => lane);
  }
}

function laneOf({ job }: Entry): string {
  return `${sourceHost(job)} ${targetHost(job)}`;
}

function isAwaited({ awaiting }: Entry): boolean {
  return awaiting.size > 0;
}

/** Where the next one that is awaited goes. */
function endOfAwaited(lane: readonly Entry[]): number {
  const end = lane.findIndex((entry) => !isAwaited(entry));
  return end < 0 ? lane.length : end;
}

function concerns(job: MirrorJob, host: string): boolean {
  return sourceHost(job) === host || targetHost(job) === host;
}

/** Counts by name; names that count nothing are forgotten. */
class Tally {
  private readonly counts = new Map<string, number>();

  of(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  change(name: string, by: number): void {
    const count = this.of(name) + by;
    if (count === 0) this.counts.delete(name);
    else this.counts.set(name, count);
  }
}
