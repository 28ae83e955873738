import type { Node } from '../../filters/ast.js';

/**
 * Fields of a Pod that both filters and engines can read. Each is a string or absent: the API server guarantees this,
 * because it parses Pods into their type before admission. All except labels and annotations are absent if empty.
 */
export type Field =
  | { readonly of: 'metadata'; readonly name: 'namespace' | 'name' | 'generateName' }
  | { readonly of: 'labels' | 'annotations'; readonly name: string }
  | { readonly of: 'spec'; readonly name: (typeof SPEC_FIELDS)[number] }
  | { readonly of: 'container'; readonly name: 'name' | 'image' };

const METADATA_FIELDS = ['namespace', 'name', 'generateName'] as const;
const SPEC_FIELDS = ['serviceAccountName', 'nodeName', 'schedulerName', 'priorityClassName', 'hostname'] as const;
const CONTAINER_FIELDS = ['name', 'image'] as const;

/** The field that an expression reads; undefined for other expressions. */
export function fieldOf(node: Node): Field | undefined {
  const [root, ...path] = namesOf(node) ?? [];
  if (root === 'container' && path.length === 1) {
    const name = CONTAINER_FIELDS.find((candidate) => candidate === path[0]);
    return name === undefined ? undefined : { of: 'container', name };
  }
  const [part, first, second, ...more] = path;
  if (root !== 'obj' || first === undefined || more.length > 0) return undefined;
  if (second !== undefined) {
    if (part !== 'metadata' || (first !== 'labels' && first !== 'annotations')) return undefined;
    return { of: first, name: second };
  }
  if (part === 'metadata') {
    const name = METADATA_FIELDS.find((candidate) => candidate === first);
    return name === undefined ? undefined : { of: 'metadata', name };
  }
  const name = part === 'spec' ? SPEC_FIELDS.find((candidate) => candidate === first) : undefined;
  return name === undefined ? undefined : { of: 'spec', name };
}

/** The names of a path such as `obj.metadata.labels."app"`. */
function namesOf(node: Node): readonly string[] | undefined {
  if (node.kind === 'field') return [node.name];
  if (node.kind === 'current') return [];
  if (node.kind !== 'chain') return undefined;
  const [left, right] = [namesOf(node.left), namesOf(node.right)];
  return left === undefined || right === undefined ? undefined : [...left, ...right];
}

/**
 * Fields that are never absent when it matters: at admission a Pod has a namespace, and a container without an image is
 * never swapped, regardless of filters.
 */
export function isAlwaysPresent(field: Field): boolean {
  return (
    (field.of === 'metadata' && field.name === 'namespace') || (field.of === 'container' && field.name === 'image')
  );
}

export function isSameField(a: Field, b: Field): boolean {
  return a.of === b.of && a.name === b.name;
}
