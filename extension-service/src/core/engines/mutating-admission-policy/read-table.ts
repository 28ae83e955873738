import { parseBoundedJson } from '../../json-bounds.js';
import type { Reference } from '../../image/reference.js';
import { refusalOf, targetReference } from '../../naming/name.js';
import type { DecidedTarget } from '../engine.js';
import type { TableEntry } from './image-table.js';

/**
 * The entries of a policy that was rendered for these targets, read from the API server's object. Ignores variables
 * that are not a table.
 */
export function readTable(policy: unknown, targets: readonly DecidedTarget[]): readonly TableEntry[] {
  const { spec } = (policy ?? {}) as { readonly spec?: { readonly variables?: readonly Partial<Variable>[] } };
  return (spec?.variables ?? []).flatMap(({ name = '', expression = '' }) => {
    const [, kind, index] = /^(table|renamedTable)(\d+)_\d+$/.exec(name) ?? [];
    const target = targets[Number(index)];
    if (kind === undefined || target === undefined) return [];
    return Object.entries(literalOf(expression)).flatMap(([outer, inner]) =>
      Object.entries(inner).flatMap(([last, shown]) => {
        if (last === '' || typeof shown !== 'string') return [];
        const repository = kind === 'table' ? `${outer}/${last}` : outer;
        return shown.split(' ').flatMap((one) => (one === '' ? [] : entryOf(repository, one, target)));
      }),
    );
  });
}

interface Variable {
  readonly name: string;
  readonly expression: string;
}

/** The literals are also JSON. */
function literalOf(expression: string): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  try {
    return parseBoundedJson(expression) as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  } catch {
    return {};
  }
}

/** None for an image that the target no longer takes. */
function entryOf(path: string, shown: string, { naming }: DecidedTarget): readonly TableEntry[] {
  const slash = path.indexOf('/');
  const source: Reference = {
    registry: path.slice(0, slash),
    repository: path.slice(slash + 1),
    ...(shown.includes(':') ? { digest: shown } : { tag: shown }),
  };
  if (refusalOf(naming, source) !== undefined) return [];
  const { registry, repository } = targetReference(naming, source);
  return [{ source, target: naming.name, registry, repository }];
}
