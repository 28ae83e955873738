import { isMap, isScalar, isSeq } from 'yaml';
import type { Node, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import type { DocumentNodes } from './document-nodes.js';
import type { TextEdit } from './text-edits.js';

/** A mapping in a document's text, and its key to change. */
export interface MapKey {
  readonly text: string;
  readonly map: YAMLMap;
  readonly key: string;
  /** The key before which to insert a new one; the first if absent. */
  readonly before?: string;
}

/** Sets a key to a value, written as JSON, which is also YAML. Replaces an existing scalar. */
export function setKey(nodes: DocumentNodes, { map, key, text, before }: MapKey, value: unknown): TextEdit {
  const json = JSON.stringify(value);
  const own = nodes.ownPair(map, key)?.value;
  if (isScalar(own)) {
    const [start, end] = own.range ?? [0, 0];
    // A bare `key:` ends at its colon.
    return { start, end, text: start === end ? ` ${json}` : json };
  }
  const next = (before === undefined ? undefined : nodes.ownPair(map, before)) ?? map.items[0];
  const first = next?.key as Scalar | undefined;
  if (first === undefined) return insertAfterBracket(map, `"${key}": ${json}`);
  const at = first.range?.[0] ?? 0;
  if (map.flow === true) return insertAt(at, `"${key}": ${json}, `);
  return insertAt(at, `${key}: ${json}${lineEndAndIndent(text, at)}`);
}

/** Inserts values, each as JSON, before the first item of a list. */
function prepend(list: YAMLSeq, values: readonly unknown[], text: string): TextEdit {
  const items = values.map((value) => JSON.stringify(value));
  if (list.items.length === 0) return insertAfterBracket(list, items.join(', '));
  const at = (list.flow === true ? (list.items[0] as Node).range?.[0] : list.range?.[0]) ?? 0;
  if (list.flow === true) return insertAt(at, items.map((item) => `${item}, `).join(''));
  return insertAt(at, items.map((item) => `- ${item}${lineEndAndIndent(text, at)}`).join(''));
}

/** Sets a list under a key, or adds to the existing one. */
export function addToList(nodes: DocumentNodes, place: MapKey, values: readonly unknown[]): TextEdit {
  const list = nodes.resolve((nodes.ownPair(place.map, place.key)?.value ?? undefined) as Node | undefined);
  return isSeq(list) ? prepend(list, values, place.text) : setKey(nodes, place, values);
}

export function asMap(node: Node | undefined): YAMLMap | undefined {
  return isMap(node) ? node : undefined;
}

function insertAt(at: number, text: string): TextEdit {
  return { start: at, end: at, text };
}

function insertAfterBracket(collection: YAMLMap | YAMLSeq, text: string): TextEdit {
  return insertAt((collection.range?.[0] ?? 0) + 1, text);
}

/** The end of a line, and spaces up to the column of the offset. */
function lineEndAndIndent(text: string, at: number): string {
  const lineStart = text.lastIndexOf('\n', at - 1) + 1;
  return `${text.includes('\r\n') ? '\r\n' : '\n'}${' '.repeat(at - lineStart)}`;
}
