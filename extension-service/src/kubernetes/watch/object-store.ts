import { isObject } from '../../core/decide/pod.js';
import type { JsonObject } from '../../core/decide/pod.js';
import { BoundedStore } from './bounded-store.js';
import type { StoreBound } from './bounded-store.js';
import type { ObjectSink } from './reflector.js';

export interface ObjectStoreOptions<T> {
  /** Returns the part of an object to keep; undefined to drop it. */
  readonly project: (object: JsonObject, namespace: string, name: string) => T | undefined;
  /** Called for each change after the first complete list, except deletions. */
  readonly onChange?: (namespace: string, name: string, value: T, before: T | undefined) => void;
  /** Whether a new version of an object is equivalent, so that nothing has changed. */
  readonly same?: (value: T, before: T) => boolean;
  readonly bound?: StoreBound<T>;
  /** An object was dropped because there is no room for it. */
  readonly onDropped?: (namespace: string, name: string) => void;
}

/** The objects of one watch by namespace and name, reduced to the needed parts. */
export class ObjectStore<T> implements ObjectSink {
  #objects: BoundedStore<T>;
  #synced = false;
  /** The next complete list counts as new. */
  #hasListedBefore = false;
  /** The objects and changes so far of a list in progress. */
  #listInProgress: { readonly held: BoundedStore<T>; readonly changes: (() => void)[] } | undefined;

  constructor(private readonly options: ObjectStoreOptions<T>) {
    this.#objects = new BoundedStore(options.bound);
  }

  /** Whether the first list is complete. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Whether everything received was stored. */
  get complete(): boolean {
    return this.#objects.complete;
  }

  get(namespace: string, name: string): T | undefined {
    return this.#objects.get(keyOf(namespace, name))?.value;
  }

  listing(): void {
    this.#listInProgress = { held: new BoundedStore(this.options.bound), changes: [] };
  }

  apply(object: JsonObject): void {
    if (this.#listInProgress === undefined) this.#put(object, this.#objects)();
    else this.#listInProgress.changes.push(this.#put(object, this.#listInProgress.held));
  }

  listed(): void {
    if (this.#listInProgress === undefined) return;
    const { held, changes } = this.#listInProgress;
    this.#listInProgress = undefined;
    this.#objects = held;
    this.#synced = true;
    // Notified once all of them are stored, since one may need another.
    if (this.#hasListedBefore) for (const notify of changes) notify();
    this.#hasListedBefore = true;
  }

  remove(object: JsonObject): void {
    const { namespace, name } = identity(object);
    this.#objects.delete(keyOf(namespace, name));
  }

  /** Objects that may no longer be read are discarded. Once they may be read again, all of them count as new. */
  refused(): void {
    this.#objects = new BoundedStore(this.options.bound);
    this.#listInProgress = undefined;
    this.#synced = false;
    this.#hasListedBefore = true;
  }

  /** @returns the notification of the change, if any */
  #put(object: JsonObject, into: BoundedStore<T>): () => void {
    const { project, same, onChange, onDropped } = this.options;
    const { namespace, name, version } = identity(object);
    const key = keyOf(namespace, name);
    const known = this.#objects.get(key);
    const nothing = (): void => undefined;
    const put = (value: T): boolean => {
      if (into.put(key, { version, value })) return true;
      onDropped?.(namespace, name);
      return false;
    };
    // Unchanged objects stay as they are, with everything derived from them.
    if (known !== undefined && known.version === version && version !== '') {
      put(known.value);
      return nothing;
    }
    const value = project(object, namespace, name);
    if (value === undefined) {
      into.delete(key);
      return nothing;
    }
    if (known !== undefined && same?.(value, known.value) === true) {
      put(known.value);
      return nothing;
    }
    if (!put(value)) return nothing;
    return () => onChange?.(namespace, name, value, known?.value);
  }
}

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

function identity({ metadata }: JsonObject): {
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
} {
  const of = isObject(metadata) ? metadata : {};
  const text = (key: string): string => {
    const value = of[key];
    return typeof value === 'string' ? value : '';
  };
  return { namespace: text('namespace'), name: text('name'), version: text('resourceVersion') };
}
