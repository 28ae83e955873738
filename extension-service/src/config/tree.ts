import type { Place } from './problem.js';

/** A configuration before its values are validated: each value with its origin. */
export type TreeNode = ScalarNode | ListNode | MappingNode;

interface NodeOrigin {
  readonly place: Place;
  /** For messages: `flag`, `environment NAME`, `file:line` or `default`. */
  readonly origin: string;
}

export interface ScalarNode extends NodeOrigin {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
  /** As written, without quotes: `012` for the number 12. */
  readonly source: string;
  /** Offset in the file, from 0, of a character of a text; undefined if folding hides it. */
  readonly locate?: (offset: number) => Place | undefined;
}

export interface ListNode extends NodeOrigin {
  readonly kind: 'list';
  readonly items: readonly TreeNode[];
}

export interface MappingNode extends NodeOrigin {
  readonly kind: 'mapping';
  readonly entries: ReadonlyMap<string, Entry>;
}

export interface Entry {
  /** Of the key. */
  readonly place: Place;
  readonly node: TreeNode;
}

export type Path = readonly (string | number)[];

/** `targets[0].aws.region` */
export function formatPath(path: Path): string {
  return path.map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`)).join('');
}

export function childOf(node: TreeNode | undefined, part: string | number): TreeNode | undefined {
  if (node === undefined) return undefined;
  if (typeof part === 'number') return node.kind === 'list' ? node.items[part] : undefined;
  return node.kind === 'mapping' ? node.entries.get(part)?.node : undefined;
}

export function nodeAt(root: TreeNode, path: Path): TreeNode | undefined {
  return path.reduce<TreeNode | undefined>(childOf, root);
}

/** The place to report for a path: the key's own place, or its nearest existing parent. */
export function placeAt(root: TreeNode, path: Path): Place {
  let node = root;
  let place = root.place;
  for (const part of path) {
    const next = childOf(node, part);
    if (next === undefined) break;
    // A mapping starts at its first key, which would look like a problem of that key.
    const key = node.kind === 'mapping' ? node.entries.get(String(part))?.place : undefined;
    place = next.kind === 'scalar' ? next.place : (key ?? next.place);
    node = next;
  }
  return place;
}

/** The text of a scalar; undefined for everything else. */
export function textOf(node: TreeNode | undefined): string | undefined {
  return node?.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined;
}

export function itemsOf(node: TreeNode | undefined): readonly TreeNode[] {
  return node?.kind === 'list' ? node.items : [];
}

/** Plain data, as the schema reads it. */
export function toPlain(node: TreeNode): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'list':
      return node.items.map(toPlain);
    case 'mapping':
      return Object.fromEntries([...node.entries].map(([key, entry]) => [key, toPlain(entry.node)]));
  }
}

/**
 * A copy with the node at the path; missing mappings are created. The schema reports nodes on the way that are not
 * mappings.
 */
export function setAt(tree: MappingNode, path: Path, node: TreeNode, keyPlace?: Place): MappingNode {
  const [first, ...rest] = path;
  const key = String(first);
  const existing = tree.entries.get(key);
  if (rest.length === 0) return withEntry(tree, key, { place: keyPlace ?? existing?.place ?? node.place, node });
  const { place, origin } = node;
  const child = existing?.node ?? { kind: 'mapping', entries: new Map<string, Entry>(), place, origin };
  if (child.kind !== 'mapping') return tree;
  return withEntry(tree, key, { place: existing?.place ?? place, node: setAt(child, rest, node, keyPlace) });
}

function withEntry(tree: MappingNode, key: string, entry: Entry): MappingNode {
  return { ...tree, entries: new Map(tree.entries).set(key, entry) };
}
