/** A map that drops its oldest entry when it exceeds `capacity`. Setting an entry makes it the newest. */
export class BoundedMap<K, V> extends Map<K, V> {
  /** @param onForget called for each dropped entry */
  constructor(
    private readonly capacity: number,
    private readonly onForget?: (key: K, value: V) => void,
  ) {
    super();
  }

  override set(key: K, value: V): this {
    super.delete(key);
    super.set(key, value);
    const oldest = this.size > this.capacity ? this.entries().next() : undefined;
    if (oldest?.done === false) {
      super.delete(oldest.value[0]);
      this.onForget?.(...oldest.value);
    }
    return this;
  }
}
