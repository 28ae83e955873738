import { isObject } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';
import type { ObjectHandler } from './object-watch.js';

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
export class ObjectStore<T> implements ObjectHandler {
  #held = new Map<string, Held<T>>();
  #synced = false;

  constructor(private readonly options: ObjectStoreOptions<T>) {}

  /** Whether all that there are have come. */
  get synced(): boolean {
    return this.#synced;
  }

  get(namespace: string, name: string): T | undefined {
    return this.#held.get(keyOf(namespace, name))?.value;
  }

  replace(objects: readonly JsonObject[]): void {
    const before = this.#held;
    this.#held = new Map();
    const changes = objects.map((object) => this.#put(object, before));
    const first = !this.#synced;
    this.#synced = true;
    // Told when all of them are there: one may need another.
    if (!first) for (const tell of changes) tell();
  }

  apply(object: JsonObject): void {
    this.#put(object, this.#held)();
  }

  remove(object: JsonObject): void {
    const { namespace, name } = identity(object);
    this.#held.delete(keyOf(namespace, name));
  }

  /** @returns what tells of the change, if there is one */
  #put(object: JsonObject, before: ReadonlyMap<string, Held<T>>): () => void {
    const { namespace, name, version } = identity(object);
    const key = keyOf(namespace, name);
    const known = before.get(key);
    // What has not changed is kept as it is, with what was made of it.
    if (known !== undefined && known.version === version && version !== '') {
      this.#held.set(key, known);
      return () => undefined;
    }
    const value = this.options.project(object, namespace, name);
    if (value === undefined) {
      this.#held.delete(key);
      return () => undefined;
    }
    this.#held.set(key, { version, value });
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
