/** The order of priorities. */
export type Rank = 0 | 1 | 2;

/** From an object that was just created. */
export const NEW_RANK: Rank = 0;
/** Found by listing everything: running objects come before templates. */
export const LISTED = { pod: 1, template: 2 } as const satisfies Record<string, Rank>;

export interface DueKey {
  readonly key: string;
  /** Registry that the image is read from. */
  readonly host: string;
  /** The namespace whose turn it uses. */
  readonly share: string;
  readonly rank: Rank;
  readonly force: boolean;
  /** The request is an audit. */
  readonly audit?: boolean;
}

/** Keys to be requested, each once: by rank; with equal rank, namespaces and registries take turns. */
export class DueKeys {
  private readonly known = new Map<string, DueKey>();
  /** For each rank the keys of each namespace and registry, in the order of their turns. */
  private readonly ranks = [0, 1, 2].map(() => new Map<string, Set<string>>());

  get size(): number {
    return this.known.size;
  }

  /** An existing key keeps the higher priority. */
  add(due: DueKey): void {
    const before = this.known.get(due.key);
    if (before === undefined) return this.put(due);
    const both = { force: before.force || due.force, audit: before.audit === true || due.audit === true };
    if (before.rank <= due.rank) {
      this.known.set(due.key, { ...before, ...both });
      return;
    }
    this.remove(before);
    this.put({ ...due, ...both });
  }

  /** Moves an existing key to the front. */
  prefer(key: string, rank: Rank): void {
    const due = this.known.get(key);
    if (due !== undefined && rank < due.rank) this.add({ ...due, rank });
  }

  /** The next key of a namespace and a registry with room. */
  take(hasRoom: (due: DueKey) => boolean): DueKey | undefined {
    for (const lanes of this.ranks) {
      for (const [lane, keys] of lanes) {
        const [key] = keys;
        const due = key === undefined ? undefined : this.known.get(key);
        if (due === undefined || !hasRoom(due)) continue;
        this.remove(due);
        // Moves the lane to the end of the turns.
        if (lanes.delete(lane) && keys.size > 0) lanes.set(lane, keys);
        return due;
      }
    }
    return undefined;
  }

  private put(due: DueKey): void {
    const lanes = this.ranks[due.rank];
    const lane = laneOf(due);
    const keys = lanes?.get(lane) ?? new Set();
    lanes?.set(lane, keys.add(due.key));
    this.known.set(due.key, due);
  }

  private remove(due: DueKey): void {
    const lanes = this.ranks[due.rank];
    const lane = laneOf(due);
    const keys = lanes?.get(lane);
    keys?.delete(due.key);
    if (keys?.size === 0) lanes?.delete(lane);
    this.known.delete(due.key);
  }
}

function laneOf({ share, host }: DueKey): string {
  return `${share} ${host}`;
}
