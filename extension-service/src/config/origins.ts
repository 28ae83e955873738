import type { Config } from '../core/config/model.js';
import type { Path, TreeNode } from './tree.js';
import { formatPath, nodeAt } from './tree.js';

/** The origin of each value of the configuration. */
export function originsOf(config: Config, tree: TreeNode): ReadonlyMap<string, string> {
  const origins = new Map<string, string>();
  for (const path of leafPaths(config, [])) origins.set(formatPath(path), nodeAt(tree, path)?.origin ?? 'default');
  return origins;
}

/** Paths of everything that isn't a non-empty list or mapping. */
function* leafPaths(value: unknown, path: Path): Generator<Path> {
  if (typeof value !== 'object' || value === null) {
    yield path;
    return;
  }
  const entries: readonly (readonly [string | number, unknown])[] = Array.isArray(value)
    ? value.map((item, index) => [index, item] as const)
    : Object.entries(value);
  if (entries.length === 0) yield path;
  for (const [key, child] of entries) yield* leafPaths(child, [...path, key]);
}
