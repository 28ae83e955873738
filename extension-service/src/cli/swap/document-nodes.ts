import { isAlias, isMap, isScalar, isSeq, visit } from 'yaml';
import type { Alias, Document, Node, Pair, Scalar, YAMLMap } from 'yaml';
import type { ObjectPath } from '../pods-of-object.js';

/** The nodes of a YAML document by path in its plain data, resolving aliases and merge keys. */
export class DocumentNodes {
  private readonly targets = new Map<Alias, Node>();
  /** The aliases of each scalar that has an anchor. */
  private readonly uses = new Map<Scalar, Alias[]>();

  constructor(private readonly document: Document.Parsed) {
    // An alias refers to the last anchor of that name before it.
    const anchors = new Map<string, Node>();
    visit(document, {
      Node: (_key, node) => {
        if (!isAlias(node)) {
          if (node.anchor !== undefined) anchors.set(node.anchor, node);
          return;
        }
        const target = anchors.get(node.source);
        if (target === undefined) return;
        this.targets.set(node, target);
        if (!isScalar(target)) return;
        const uses = this.uses.get(target) ?? [];
        uses.push(node);
        this.uses.set(target, uses);
      },
    });
  }

  /** The node that is written at the path; if the path ends at an alias, returns the alias itself. */
  at(path: ObjectPath): Node | undefined {
    return path.reduce<Node | undefined>((node, key) => this.child(node, key), this.document.contents ?? undefined);
  }

  /** The anchor's node for an alias; any other node itself. */
  resolve(node: Node | undefined): Node | undefined {
    return isAlias(node) ? this.targets.get(node) : node;
  }

  aliasesOf(scalar: Scalar): readonly Alias[] {
    return this.uses.get(scalar) ?? [];
  }

  /** The pair that the mapping itself contains, ignoring merge keys; the last one if a key is duplicated. */
  ownPair(map: YAMLMap, key: string): Pair | undefined {
    return map.items.findLast((pair) => keyOf(pair) === key);
  }

  private child(parent: Node | undefined, key: string | number): Node | undefined {
    const node = this.resolve(parent);
    if (typeof key === 'number') return isSeq(node) ? ((node.items[key] ?? undefined) as Node | undefined) : undefined;
    if (!isMap(node)) return undefined;
    const own = this.ownPair(node, key);
    if (own !== undefined) return (own.value ?? undefined) as Node | undefined;
    for (const source of node.items.filter(isMerge).flatMap(({ value }) => this.mergedMaps(value as Node))) {
      const found = this.child(source, key);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private mergedMaps(value: Node): readonly Node[] {
    const node = this.resolve(value);
    if (isSeq(node)) return node.items as Node[];
    return node === undefined ? [] : [node];
  }
}

function keyOf({ key }: Pair): unknown {
  return isScalar(key) ? key.value : undefined;
}

/** The library represents the key `<<` as a symbol. */
function isMerge(pair: Pair): boolean {
  const key = keyOf(pair);
  return key === '<<' || (typeof key === 'symbol' && key.description === '<<');
}
