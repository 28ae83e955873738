import { Document, isCollection, isNode, isPair, isScalar } from 'yaml';
import { formatDuration } from '../core/config/duration.js';
import { fieldAt } from '../schema/field.js';
import type { Field } from '../schema/field.js';
import type { LoadedConfig } from './parse.js';
import { rootField } from './schema/config.js';
import type { Path } from './tree.js';
import { formatPath } from './tree.js';

/** `text`: YAML with the origin of each value as a comment. */
export type PrintFormat = 'text' | 'yaml' | 'json';

const hidden = '********';

/** The current configuration, in the form of the file; secrets are hidden. Ends with a newline. */
export function printConfig(loaded: Pick<LoadedConfig, 'config' | 'origins'>, format: PrintFormat): string {
  const shown = show(loaded.config, []);
  if (format === 'json') return `${JSON.stringify(shown, undefined, 2)}\n`;
  const document = new Document(shown);
  if (format === 'text') comment(document, loaded.origins);
  // The library breaks the line before an empty collection that has a comment.
  return document
    .toString({ lineWidth: 0 })
    .replaceAll(/:\n +(\[\]|\{\})\n +# (?=(?:flag|default|environment \w+|.+:\d+)$)/gm, ': $1 # ');
}

/** In the form of the file: durations as texts. */
function show(value: unknown, path: Path): unknown {
  if (Array.isArray(value)) return value.map((item, index) => show(item, [...path, index]));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, show(child, [...path, key])]));
  }
  const field = fieldAt(rootField, path);
  if (field?.kind === 'leaf' && field.type === 'duration' && typeof value === 'number') return formatDuration(value);
  return withoutSecret(value, field);
}

function withoutSecret(value: unknown, field: Field | undefined): unknown {
  if (field?.kind !== 'leaf' || typeof value !== 'string') return value;
  if (field.secret === 'all') return hidden;
  if (field.secret !== 'password') return value;
  // Any text that may contain a password: before the last @, and in parameters.
  return value
    .replace(/^([a-z]+:\/\/[^:/@]*):.*@/s, `$1:${hidden}@`)
    .replace(/([?&][^=&]*pass[^=&]*=)[^&]*/gi, `$1${hidden}`);
}

function comment(document: Document, origins: ReadonlyMap<string, string>): void {
  const walk = (node: unknown, path: Path): void => {
    if (!isNode(node)) return;
    if (isScalar(node) || (isCollection(node) && node.items.length === 0)) {
      const origin = origins.get(formatPath(path));
      if (origin !== undefined) node.comment = ` ${origin}`;
      return;
    }
    if (!isCollection(node)) return;
    for (const [index, item] of node.items.entries()) {
      if (isNode(item)) walk(item, [...path, index]);
      else if (isPair(item)) walk(item.value, [...path, String(isScalar(item.key) ? item.key.value : item.key)]);
    }
  };
  walk(document.contents, []);
}
