import { quoteInput } from '../core/image/quote.js';
import type { Dialect } from './dialect.js';
import { fieldAt } from './field.js';
import type { Field, MappingField } from './field.js';
import type { Problems } from './problem.js';
import { didYouMean, suggest } from './suggest.js';
import type { Entry, MappingNode, Path, ScalarNode, TreeNode } from './tree.js';
import { childOf, formatPath, nodeAt, setAt } from './tree.js';

export interface Settled {
  readonly tree: MappingNode;
  /** Registries whose type cannot be told: that is reported, and the schema as a whole has no use for them. */
  readonly unsettled: readonly Path[];
}

/** Settles the type of each registry: fills in the type that its keys tell, and reports keys of another one. */
export function settleVariants(tree: MappingNode, root: Field, dialect: Dialect, problems: Problems): Settled {
  const unsettled: Path[] = [];
  const settle = (node: TreeNode, path: Path): TreeNode => {
    const field = fieldAt(root, path);
    if (node.kind !== 'mapping' || field?.kind !== 'mapping') return node;
    const settled = new Variant(node, field, path, dialect, problems).settle();
    if (settled === undefined) unsettled.push(path);
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
  return { tree: result, unsettled };
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
    const given = this.#variants.filter((variant) => this.node.entries.has(variant));
    const written = childOf(this.node, 'type');
    const value = written?.kind === 'scalar' ? written.value : undefined;
    const type = this.#variants.find((variant) => variant === value);
    if (type !== undefined) return this.only(type, this.node);
    if (written !== undefined) {
      const text = typeof value === 'string' ? quoteInput(value) : 'this';
      const hint = typeof value === 'string' ? didYouMean(suggest(value, this.#variants)) : '';
      this.problems.error(written.place, this.key('type'), `${text} is no type of registry${hint}`, this.allowed());
      // One kind of registry is described, so what is in it can be checked all the same.
      return given.length === 1 ? this.typed(given[0] ?? '') : undefined;
    }
    if (given.length === 1) return this.typed(given[0] ?? '');
    // The anchor's default.
    if (this.dialect === 'anchor') return this.only('aws', this.typed('aws'));
    const message = given.length === 0 ? 'is missing' : `is missing, and ${given.join(' and ')} are there`;
    this.problems.error(this.node.place, this.key('type'), message, this.allowed());
    return undefined;
  }

  /** Leaves out what the other types have; the anchor's loader never looks at it. */
  private only(type: string, node: MappingNode): MappingNode {
    const entries = new Map<string, Entry>();
    for (const [key, entry] of node.entries) {
      if (key === type || !this.#variants.includes(key)) {
        entries.set(key, entry);
        continue;
      }
      const severity = this.dialect === 'anchor' ? 'warning' : 'error';
      const message = `does not belong to a registry of type ${type}`;
      this.problems.add(severity, entry.place, this.key(key), message, `leave it out, or set type: ${key}`);
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
    return `allowed are ${this.#variants.join(', ')}`;
  }
}
