interface Unknown {
  readonly kind: string;
  /** The list in which its user was last seen. */
  readonly generation: number;
  readonly images: ReadonlySet<string>;
}

/** Images in targets whose source is unknown, while something in the cluster uses them. */
export class UnknownImages {
  private readonly users = new Map<string, Unknown>();
  private readonly counts = new Map<string, number>();

  get size(): number {
    return this.counts.size;
  }

  /** @returns those that nothing used before */
  put(uid: string, kind: string, images: readonly string[], generation: number): readonly string[] {
    const distinct = new Set(images);
    const added = [...distinct].filter((image) => !this.counts.has(image));
    for (const image of distinct) this.counts.set(image, (this.counts.get(image) ?? 0) + 1);
    this.remove(uid);
    if (distinct.size > 0) this.users.set(uid, { kind, generation, images: distinct });
    return added;
  }

  remove(uid: string): void {
    for (const image of this.users.get(uid)?.images ?? []) {
      const left = (this.counts.get(image) ?? 0) - 1;
      if (left > 0) this.counts.set(image, left);
      else this.counts.delete(image);
    }
    this.users.delete(uid);
  }

  /** Removes the users of a kind that were not in the list of this generation. */
  prune(kind: string, generation: number): void {
    for (const [uid, user] of this.users) if (user.kind === kind && user.generation < generation) this.remove(uid);
  }

  clear(): void {
    this.users.clear();
    this.counts.clear();
  }
}
