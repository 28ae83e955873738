import type { Swap } from '../../core/decide/answer.js';
import type { ObjectPath } from '../pods-of-object.js';

/**
 * Whether two documents differ only in swapped references, ignoring the Pods at the paths and a function's `results`.
 * An anchor outside a Pod may have been swapped with the Pod that uses it.
 */
export function isUnchangedElsewhere(
  before: unknown,
  after: unknown,
  { swaps, pods }: { readonly swaps: readonly Swap[]; readonly pods: readonly ObjectPath[] },
): boolean {
  const allowed = new Set(swaps.map(({ container, image }) => `${container.image} ${image}`));
  const skipped = new Set([...pods.map((path) => JSON.stringify(path)), '["results"]']);
  const same = (a: unknown, b: unknown, path: ObjectPath): boolean => {
    if (Object.is(a, b) || skipped.has(JSON.stringify(path))) return true;
    if (typeof a === 'string' && typeof b === 'string') return allowed.has(`${a} ${b}`);
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
    if (Array.isArray(a) !== Array.isArray(b)) return false;
    if (Array.isArray(a) && Array.isArray(b))
      return a.length === b.length && a.every((item, index) => same(item, b[index], [...path, index]));
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].every((key) =>
      same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key], [...path, key]),
    );
  };
  return same(before, after, []);
}
