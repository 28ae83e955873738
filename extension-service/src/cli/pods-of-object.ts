import { isObject } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';

/** Keys and indexes from the top of a document to a value. */
export type ObjectPath = readonly (string | number)[];

export function valueAt(value: unknown, path: ObjectPath): unknown {
  return path.reduce<unknown>(
    (at, key) =>
      typeof key === 'number' ? (Array.isArray(at) ? at[key] : undefined) : isObject(at) ? at[key] : undefined,
    value,
  );
}

/**
 * The paths of the objects of a document: the document itself, or the items of a list, including nested lists; none if
 * empty.
 */
export function objectPathsOf(value: unknown, path: ObjectPath = []): readonly ObjectPath[] {
  if (value === null || value === undefined) return [];
  const below = (items: readonly unknown[], at: ObjectPath): readonly ObjectPath[] =>
    items.flatMap((item, index) => objectPathsOf(item, [...at, index]));
  if (Array.isArray(value)) return below(value, path);
  if (isObject(value) && Array.isArray(value['items']) && value['spec'] === undefined)
    return below(value['items'], [...path, 'items']);
  return [path];
}

/** The Pod of a template, in the given namespace, if any. */
export function podOfTemplate({ metadata, spec }: JsonObject, namespace: string | undefined): JsonObject {
  const own = isObject(metadata) ? metadata : {};
  return { kind: 'Pod', metadata: { ...own, ...(namespace !== undefined && { namespace }) }, spec };
}

export function namespaceOf({ metadata }: JsonObject): string | undefined {
  const namespace = isObject(metadata) ? metadata['namespace'] : undefined;
  return typeof namespace === 'string' ? namespace : undefined;
}

/** `Deployment team-a/web` */
export function titleOf(object: unknown): string {
  if (!isObject(object)) return 'a document that is not an object';
  const metadata = isObject(object['metadata']) ? object['metadata'] : {};
  const name = metadata['name'] ?? metadata['generateName'];
  const namespace = namespaceOf(object);
  const kind = typeof object['kind'] === 'string' ? object['kind'] : 'object';
  const shown = typeof name === 'string' ? ` ${namespace === undefined ? '' : `${namespace}/`}${name}` : '';
  return `${kind}${shown}`;
}
