import { isAlias, isScalar } from 'yaml';
import type { Node, Scalar } from 'yaml';
import type { ObjectPath } from '../pods-of-object.js';
import type { DocumentNodes } from './document-nodes.js';
import type { TextEdit } from './text-edits.js';

/** An image reference in a document and its replacement; both are equal if the image is kept. */
export interface WantedImage {
  readonly path: ObjectPath;
  readonly before: string;
  readonly after: string;
}

/** One place in the text is used by images that need different references. */
export class SharedAnchorError extends Error {
  override readonly name = 'SharedAnchorError';
  constructor(
    readonly offset: number,
    readonly image: string,
  ) {
    super(`${image} is shared by an anchor between places that need different images; write them out`);
  }
}

/** Characters of references that never need quotes in YAML. */
const PLAIN = /^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$/;

/**
 * The edits that replace a document's image references. A scalar with an anchor is changed in place if all its aliases
 * need the same reference; an alias that needs another one is replaced by text.
 *
 * @throws SharedAnchorError if no edit gives every image its reference
 */
export function imageEdits(nodes: DocumentNodes, text: string, images: readonly WantedImage[]): readonly TextEdit[] {
  const imageOfNode = new Map<Node, WantedImage>();
  for (const image of images) {
    const node = nodes.at(image.path);
    if (node === undefined) continue;
    const other = imageOfNode.get(node);
    if (other !== undefined && other.after !== image.after) throw new SharedAnchorError(startOf(node), image.before);
    imageOfNode.set(node, image);
  }
  const edits: TextEdit[] = [];
  const changed = new Set<Scalar>();
  for (const [node, { before, after }] of imageOfNode) {
    if (!isScalar(node) || before === after) continue;
    changed.add(node);
    edits.push(scalarEdit(node, text, before, after));
    for (const alias of nodes.aliasesOf(node)) {
      const wanted = imageOfNode.get(alias)?.after ?? before;
      if (wanted !== after) edits.push(literalEdit(alias, wanted));
    }
  }
  for (const [node, { before, after }] of imageOfNode) {
    if (!isAlias(node) || before === after) continue;
    const scalar = nodes.resolve(node);
    if (!isScalar(scalar) || !changed.has(scalar)) edits.push(literalEdit(node, after));
  }
  return edits;
}

/** Keeps quotes, block indicators and comments inside the scalar if the reference appears literally. */
function scalarEdit(node: Scalar, text: string, before: string, after: string): TextEdit {
  const [start, end] = node.range ?? [0, 0];
  const written = text.slice(start, end);
  const at = written.indexOf(before);
  if (at >= 0 && PLAIN.test(after) && written.indexOf(before, at + 1) < 0)
    return { start: start + at, end: start + at + before.length, text: after };
  // A block scalar ends with its line.
  return { start, end, text: literal(after) + (/\r?\n$/.exec(written)?.[0] ?? '') };
}

function literalEdit(node: Node, value: string): TextEdit {
  const [start, end] = node.range ?? [0, 0];
  return { start, end, text: literal(value) };
}

function literal(value: string): string {
  return PLAIN.test(value) ? value : JSON.stringify(value);
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}
