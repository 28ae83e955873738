import { sourceHost, targetHost } from '../core/decide/mirror-job.js';
import type { Entry } from './entry.js';

/**
 * The waiting copies of one namespace, in a lane for each pair of registries: first come, first served in a lane, and
 * the lanes take turns. Copies that an admission waits for go before all others.
 */
export class ShareLanes {
  /** In the order of their turns. */
  private readonly lanes = new Map<string, Entry[]>();

  get isEmpty(): boolean {
    return this.lanes.size === 0;
  }

  add(entry: Entry): void {
    const key = laneOf(entry);
    const lane = this.lanes.get(key);
    if (lane === undefined) this.lanes.set(key, [entry]);
    else if (isAwaited(entry)) lane.splice(awaitedCount(lane), 0, entry);
    else lane.push(entry);
  }

  /** An admission now waits for it. */
  prefer(entry: Entry): void {
    const lane = this.lanes.get(laneOf(entry));
    const place = lane?.indexOf(entry) ?? -1;
    if (lane === undefined || place < 0) return;
    lane.splice(place, 1);
    lane.splice(awaitedCount(lane), 0, entry);
  }

  drop(entry: Entry): void {
    const key = laneOf(entry);
    const lane = this.lanes.get(key);
    const place = lane?.indexOf(entry) ?? -1;
    if (lane === undefined || place < 0) return;
    lane.splice(place, 1);
    if (lane.length === 0) this.lanes.delete(key);
  }

  /** The first copy that may run; its lane moves to the end of the turns. */
  next(mayRun: (entry: Entry) => boolean): Entry | undefined {
    for (const [key, lane] of this.lanes) {
      const [first] = lane;
      // A suspect may have to wait for another one; copies behind it need not.
      const other = first?.isSuspect === true ? lane.find(({ isSuspect }) => !isSuspect) : undefined;
      const next = [first, other].find((entry) => entry !== undefined && mayRun(entry));
      if (next === undefined) continue;
      this.lanes.delete(key);
      this.lanes.set(key, lane);
      return next;
    }
    return undefined;
  }

  /** Copies that read from or write to a registry. */
  of(host: string): Entry[] {
    return [...this.lanes.values()].filter(([first]) => first !== undefined && usesHost(first, host)).flat();
  }

  all(): Entry[] {
    return [...this.lanes.values()].flat();
  }
}

export function isAwaited({ awaiting }: Entry): boolean {
  return awaiting.size > 0;
}

function usesHost({ job }: Entry, host: string): boolean {
  return sourceHost(job) === host || targetHost(job) === host;
}

function laneOf({ job }: Entry): string {
  return `${sourceHost(job)} ${targetHost(job)}`;
}

/** The position of the next awaited copy. */
function awaitedCount(lane: readonly Entry[]): number {
  const end = lane.findIndex((entry) => !isAwaited(entry));
  return end < 0 ? lane.length : end;
}
