/** Names of images that a write added to the table, and removed from it. */
export interface ReportedChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** The changes of a table until they are in the cluster: some are not in a write yet, others are in a write that is under way. */
export class TableChanges {
  private readonly added = new Set<string>();
  private readonly removed = new Set<string>();
  private readonly sentAdded = new Set<string>();
  private readonly sentRemoved = new Set<string>();
  /** Names that the last written table had no room for. */
  private omitted: ReadonlySet<string> = new Set();

  add(name: string): void {
    this.added.add(name);
    this.removed.delete(name);
  }

  remove(name: string): void {
    this.added.delete(name);
    this.removed.add(name);
  }

  /** The table in the cluster already has it. */
  withdraw(name: string): void {
    this.added.delete(name);
  }

  hasRemoved(name: string): boolean {
    return this.removed.has(name);
  }

  /** Names in no write yet. */
  get unsent(): Iterable<string> {
    return this.added;
  }

  get hasUnsentRemovals(): boolean {
    return this.removed.size > 0;
  }

  /** The next write contains every change so far. */
  send(): void {
    move(this.added, this.sentAdded, this.sentRemoved);
    move(this.removed, this.sentRemoved, this.sentAdded);
  }

  /** The sent changes are in the cluster. @param omitted names that the written table does not contain */
  settle(omitted: ReadonlySet<string>): ReportedChanges {
    const before = this.omitted;
    const nowFits = [...before].filter((name) => !this.sentRemoved.has(name) && !this.removed.has(name));
    const nowOmitted = [...omitted].filter((name) => !before.has(name) && !this.sentAdded.has(name));
    const added = [...new Set([...this.sentAdded, ...nowFits])].filter((name) => !omitted.has(name));
    const removed = [...new Set([...this.sentRemoved, ...nowOmitted])];
    this.omitted = omitted;
    this.sentAdded.clear();
    this.sentRemoved.clear();
    return { added, removed };
  }

  forget(): void {
    for (const set of [this.added, this.removed, this.sentAdded, this.sentRemoved]) set.clear();
    this.omitted = new Set();
  }
}

function move(names: Set<string>, to: Set<string>, from: Set<string>): void {
  for (const name of names) {
    to.add(name);
    from.delete(name);
  }
  names.clear();
}
