import { isObject } from '../../core/decide/pod.js';
import type { JsonObject } from '../../core/decide/pod.js';
import type { ObjectSink } from './reflector.js';

export interface ObjectStoreOptions<T> {
  /** What is kept of an object; undefined keeps nothing of it. */
  readonly project: (object: JsonObject, namespace: string, name: string) => T | undefined;
  /** A change after the first complete list, objects that went away excluded. */
  readonly onChange?: (namespace: string, name: string, value: T, before: T | undefined) => void;
}

interface Held<T> {
  readonly version: string;
  readonly value: T;
}

/** The objects of one watch by namespace and name, of each what is needed. */
export class ObjectStore<T> implements ObjectSink {
  #held = new Map<string, Held<T>>();
  #synced = false;
  /** What a list that goes on has brought, and what it changed. */
  #coming: { readonly held: Map<string, Held<T>>; readonly changes: (() => void)[] } | undefined;

  constructor(private readonly options: ObjectStoreOptions<T>) {}

  /** Whether all that there are have come. */
  get synced(): boolean {
    return this.#synced;
  }

  get(namespace: string, name: string): T | undefined {
    return this.#held.get(keyOf(namespace, name))?.value;
  }

  listing(): void {
    this.#coming = { held: new Map(), changes: [] };
  }

  apply(object: JsonObject): void {
    if (this.#coming === undefined) this.#put(object, this.#held)();
    else this.#coming.changes.push(this.#put(object, this.#coming.held));
  }

  listed(): void {
    if (this.#coming === undefined) return;
    const { held, changes } = this.#coming;
    this.#coming = undefined;
    this.#held = held;
    const first = !this.#synced;
    this.#synced = true;
    // Told when all of them are there: one may need another.
    if (!first) for (const tell of changes) tell();
  }

  remove(object: JsonObject): void {
    const { namespace, name } = identity(object);
    this.#held.delete(keyOf(namespace, name));
  }

  /** @returns what tells of the change, if there is one */
  #put(object: JsonObject, into: Map<string, Held<T>>): () => void {
    const { namespace, name, version } = identity(object);
    const key = keyOf(namespace, name);
    const known = this.#held.get(key);
    // What has not changed is kept as it is, with what was made of it.
    if (known !== undefined && known.version === version && version !== '') {
      into.set(key, known);
      return () => undefined;
    }
    const value = this.options.project(object, namespace, name);
    if (value === undefined) {
      into.delete(key);
      return () => undefined;
    }
    into.set(key, { version, value });
    return () => this.options.onChange?.(namespace, name, value, known?.value);
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
