/** What goes before what. */
export type Rank = 0 | 1 | 2;

/** Brought by an object that has just come. */
export const NEW: Rank = 0;
/** Found when everything was listed: what runs before what may run. */
export const LISTED = { pod: 1, template: 2 } as const satisfies Record<string, Rank>;

export interface DueKey {
  readonly key: string;
  /** Registry that the image is read from. */
  readonly host: string;
  readonly rank: Rank;
  readonly force: boolean;
}

/** Keys that are to be asked for, each once: by rank, and among equals the registries take turns. */
export class DueKeys {
  private readonly known = new Map<string, DueKey>();
  /** For each rank the keys of each registry, in the order of their turns. */
  private readonly ranks = [0, 1, 2].map(() => new Map<string, Set<string>>());

  get size(): number {
    return this.known.size;
  }

  /** One that is there keeps the better of both. */
  add(due: DueKey): void {
    const before = this.known.get(due.key);
    if (before === undefined) return this.put(due);
    const force = before.force || due.force;
    if (before.rank <= due.rank) {
      this.known.set(due.key, { ...before, force });
      return;
    }
    this.remove(before);
    this.put({ ...due, force });
  }

  /** Puts one that is there further to the front. */
  prefer(key: string, rank: Rank): void {
    const due = this.known.get(key);
    if (due !== undefined && rank < due.rank) this.add({ ...due, rank });
  }

  /** The next one of a registry that has room. */
  take(hasRoom: (host: string) => boolean): DueKey | undefined {
    for (const hosts of this.ranks) {
      for (const [host, keys] of hosts) {
        const [key] = keys;
        const due = key === undefined ? undefined : this.known.get(key);
        if (due === undefined || !hasRoom(host)) continue;
        this.remove(due);
        // To the end of the turns.
        if (hosts.delete(host) && keys.size > 0) hosts.set(host, keys);
        return due;
      }
    }
    return undefined;
  }

  private put(due: DueKey): void {
    const hosts = this.ranks[due.rank];
    const keys = hosts?.get(due.host) ?? new Set();
    hosts?.set(due.host, keys.add(due.key));
    this.known.set(due.key, due);
  }

  private remove({ key, host, rank }: DueKey): void {
    const hosts = this.ranks[rank];
    const keys = hosts?.get(host);
    keys?.delete(key);
    if (keys?.size === 0) hosts?.delete(host);
    this.known.delete(key);
  }
}
