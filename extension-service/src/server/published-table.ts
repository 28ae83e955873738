import { TableKnowledge } from './table-knowledge.js';
import type { TableState } from './table-knowledge.js';

export interface PublishedTableOptions {
  /** Reads the names from the cluster. */
  readonly read: () => Promise<readonly string[]>;
  readonly now?: () => number;
}

/** Milliseconds until the table is read again: it can have 3 MB. */
const READ_INTERVAL_MS = 60_000;

/**
 * The table in the cluster, for a replica that does not write it. It is read only while something asks about it, which
 * is rare: a call of Kyverno about an image that the target has.
 */
export class PublishedTable {
  private readonly names = new TableKnowledge();
  private readonly now: () => number;
  private readAt = -Infinity;
  /** Increased when the answer to a read no longer counts. */
  private generation = 0;

  constructor(private readonly options: PublishedTableOptions) {
    this.now = options.now ?? Date.now;
  }

  /** @param name in the target @returns undefined until the table has been read, which this starts */
  find(name: string): TableState | undefined {
    if (this.now() - this.readAt >= READ_INTERVAL_MS) void this.read();
    return this.names.find(name);
  }

  /** This replica writes the table from now on, or there is another one. */
  forget(): void {
    this.names.forget();
    this.readAt = -Infinity;
    this.generation += 1;
  }

  private async read(): Promise<void> {
    const { generation } = this;
    this.readAt = this.now();
    try {
      const names = await this.options.read();
      if (generation === this.generation) this.names.see(names, this.now());
    } catch {
      // Read again after the interval. The leader reports what it cannot read.
    }
  }
}
