import { foreignMember, typeOfRegistry } from '../core/config/registry-type.js';
import type { Dialect } from './dialect.js';
import { fieldAt } from '../schema/field.js';
import type { Field, MappingField } from '../schema/field.js';
import type { Problems } from './problem.js';
import { didYouMean, suggest } from './suggest.js';
import type { Entry, MappingNode, Path, ScalarNode, TreeNode } from './tree.js';
import { childOf, formatPath, nodeAt, setAt } from './tree.js';

/** The type that k8s-image-swapper assumes for a registry without one. */
export const LEGACY_DEFAULT_TYPE = 'aws';

export interface SettledVariants {
  readonly tree: MappingNode;
  /** Registries whose type is unknown: that is reported, and they are not validated with the schema. */
  readonly undecided: readonly Path[];
}

/** Settles the type of each registry: infers the type from its keys, and reports keys of other types. */
export function settleVariants(tree: MappingNode, root: Field, dialect: Dialect, problems: Problems): SettledVariants {
  const undecided: Path[] = [];
  const settle = (node: TreeNode, path: Path): TreeNode => {
    const field = fieldAt(root, path);
    if (node.kind !== 'mapping' || field?.kind !== 'mapping') return node;
    const settled = new Variant(node, field, path, dialect, problems).settle();
    if (settled === undefined) undecided.push(path);
    return settled ?? node;
  };
  let result = tree;
  const target = childOf(tree, 'target');
  if (target !== undefined) result = setAt(result, ['target'], settle(target, ['target']));
  for (const path of registryLists) {
    const list = nodeAt(tree, path);
    if (list?.kind !== 'list') continue;
    const items = list.items.map((item, index) => settle(item, [...path, index]));
    result = setAt(result, path, { ...list, items });
  }
  return { tree: result, undecided };
}

const registryLists: readonly Path[] = [['targets'], ['source', 'registries']];

class Variant {
  readonly #variants: readonly string[];

  constructor(
    private readonly node: MappingNode,
    field: MappingField,
    private readonly path: Path,
    private readonly dialect: Dialect,
    private readonly problems: Problems,
  ) {
    this.#variants = field.variants ?? [];
  }

  settle(): MappingNode | undefined {
    const written = childOf(this.node, 'type');
    // A mapping or a list is not a type either.
    const value = written?.kind === 'scalar' ? written.value : written && {};
    const { type, fault, foreign } = typeOfRegistry(value, (key) => this.node.entries.has(key), this.#variants);
    if (written === undefined && type === undefined && this.dialect === 'k8s-image-swapper') {
      return this.without(
        this.#variants.filter((key) => key !== LEGACY_DEFAULT_TYPE),
        LEGACY_DEFAULT_TYPE,
        this.typed(LEGACY_DEFAULT_TYPE),
      );
    }
    if (fault !== undefined) {
      // The existing key is a better hint than the spelling: next to aws, ecr is not a misspelled acr.
      const hint = typeof value === 'string' && type === undefined ? didYouMean(suggest(value, this.#variants)) : '';
      this.problems.error((written ?? this.node).place, this.key('type'), `${fault}${hint}`, this.allowed());
    }
    if (type === undefined) return undefined;
    return this.without(foreign, type, type === value ? this.node : this.typed(type));
  }

  /** Drops the keys of other types; k8s-image-swapper's loader never reads them. */
  private without(foreign: readonly string[], type: string, node: MappingNode): MappingNode {
    const entries = new Map<string, Entry>();
    for (const [key, entry] of node.entries) {
      if (!foreign.includes(key)) {
        entries.set(key, entry);
        continue;
      }
      const severity = this.dialect === 'k8s-image-swapper' ? 'warning' : 'error';
      const allowed = `leave it out, or set type: ${key}`;
      this.problems.add(severity, entry.place, this.key(key), foreignMember(type), allowed);
    }
    return { ...node, entries };
  }

  private typed(type: string): MappingNode {
    const described = this.node.entries.get(type);
    const value: ScalarNode = {
      kind: 'scalar',
      value: type,
      source: type,
      place: described?.place ?? this.node.place,
      origin: described?.node.origin ?? 'default',
    };
    return setAt(this.node, ['type'], value);
  }

  private key(name: string): string {
    return formatPath([...this.path, name]);
  }

  private allowed(): string {
    return `expected one of ${this.#variants.join(', ')}`;
  }
}
