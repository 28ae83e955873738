/** Counts by name; names with a count of zero are dropped. */
export class Tally {
  private readonly counts = new Map<string, number>();

  of(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  change(name: string, by: number): void {
    const count = this.of(name) + by;
    if (count === 0) this.counts.delete(name);
    else this.counts.set(name, count);
  }

  /** The name with the largest count; undefined if nothing is counted. */
  largest(): string | undefined {
    let largest: string | undefined;
    for (const [name, count] of this.counts) if (largest === undefined || count > this.of(largest)) largest = name;
    return largest;
  }
}
