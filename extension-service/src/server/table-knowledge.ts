import type { TableReport } from '../kubernetes/image-table/mirrored-images.js';

/** Whether the API server's table contains an image. */
export type TableState =
  /** `since`: ISO 8601; absent if an earlier leader wrote it. */
  { readonly state: 'present'; readonly since?: string } | { readonly state: 'absent' };

/** The content of the API server's table, as known to the replica that writes it. */
export class TableKnowledge {
  private names: Map<string, number | undefined> | undefined;

  /** @param now milliseconds since the epoch */
  learn({ adopted, added, removed }: Pick<TableReport, 'adopted' | 'added' | 'removed'>, now: number): void {
    this.names ??= new Map();
    for (const name of adopted) this.names.set(name, undefined);
    for (const name of added) this.names.set(name, now);
    for (const name of removed) this.names.delete(name);
  }

  /** The whole table, as seen in the cluster. A name counts from the time when it was first seen. */
  see(names: readonly string[], now: number): void {
    const before = this.names;
    this.names = new Map(names.map((name) => [name, before?.get(name) ?? now]));
  }

  /** Another replica writes it from now on. */
  forget(): void {
    this.names = undefined;
  }

  /** @param name in the target @returns undefined if another replica writes it, or none */
  find(name: string): TableState | undefined {
    if (this.names === undefined) return undefined;
    if (!this.names.has(name)) return { state: 'absent' };
    const since = this.names.get(name);
    return { state: 'present', ...(since !== undefined && { since: new Date(since).toISOString() }) };
  }
}
