export interface FakeObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

export interface FakeEvent {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: FakeObject;
}

/** The objects of one list. Many are generated on each read, and some are stored. */
export class Collection {
  private readonly held = new Map<string, FakeObject>();
  private events: FakeEvent[] = [];
  /** Events up to this version are no longer available. */
  private compacted = 0;
  private made: { readonly count: number; readonly make: (index: number) => FakeObject } = {
    count: 0,
    make: () => {
      throw new Error('there are none');
    },
  };
  readonly listeners = new Set<(event: FakeEvent) => void>();

  constructor(private readonly nextVersion: () => number) {}

  get size(): number {
    return this.made.count + this.held.size;
  }

  /** Adds this many objects without storing them. `make` must return the same object for the same index. */
  generate(count: number, make: (index: number) => FakeObject): void {
    this.made = { count, make };
  }

  put(object: FakeObject): void {
    const known = this.held.has(object.metadata.uid);
    this.held.set(object.metadata.uid, object);
    this.tell(known ? 'MODIFIED' : 'ADDED', object);
  }

  /** @param seen whether watches see the deletion; false for a deletion while no watch is open */
  remove(uid: string, seen = true): void {
    const object = this.held.get(uid);
    if (object === undefined) return;
    this.held.delete(uid);
    if (seen) this.tell('DELETED', object);
  }

  page(start: number, limit: number): FakeObject[] {
    const objects: FakeObject[] = [];
    const { count, make } = this.made;
    for (let index = start; index < Math.min(count, start + limit); index += 1) objects.push(make(index));
    const from = Math.max(0, start - count);
    const more = [...this.held.values()].slice(from, from + limit - objects.length);
    return [...objects, ...more];
  }

  /** Returns the changes since the version, or undefined if they are no longer available. */
  since(version: number): readonly FakeEvent[] | undefined {
    return version < this.compacted ? undefined : this.events.filter((event) => event.version > version);
  }

  /** Discards the past changes, as etcd's compaction does. */
  compact(version: number): void {
    this.compacted = version;
    this.events = [];
  }

  private tell(type: FakeEvent['type'], object: FakeObject): void {
    const version = this.nextVersion();
    const { metadata } = object;
    const event = { version, type, object: { ...object, metadata: { ...metadata, resourceVersion: String(version) } } };
    this.events.push(event);
    for (const listener of this.listeners) listener(event);
  }
}
