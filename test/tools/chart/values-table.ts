import { isMap, isPair, isScalar, parseDocument } from 'yaml';
import type { Pair, YAMLMap } from 'yaml';

const START = '| value | default | meaning |';

/** Returns the chart's README with its table of values replaced. */
export function withValuesTable(readme: string, values: string): string {
  const start = readme.indexOf(START);
  if (start < 0) throw new Error(`the chart's README has no table that begins with ${START}`);
  const end = readme.indexOf('\n\n', start);
  return readme.slice(0, start) + table(values) + (end < 0 ? '\n' : readme.slice(end));
}

function table(text: string): string {
  const { contents } = parseDocument(text);
  if (!isMap(contents)) throw new Error('values.yaml is not a mapping');
  return [START, '|---|---|---|', ...rows(contents, '')].join('\n');
}

/** Whether the value at this index of the mapping has a description; a section has none, but its values have. */
export function hasDescription(map: YAMLMap, index: number): boolean {
  return aboutAt(map, index) !== undefined;
}

function aboutAt(map: YAMLMap, index: number): string | undefined {
  const key = map.items[index]?.key;
  // The YAML parser attaches the comment before the first key to the mapping, not to the key.
  return isScalar(key) ? aboutOf(key.commentBefore ?? (index === 0 ? map.commentBefore : undefined)) : undefined;
}

function* rows(map: YAMLMap, prefix: string): Generator<string> {
  for (const [index, pair] of map.items.entries()) {
    if (!isPair(pair) || !isScalar(pair.key)) continue;
    const key = `${prefix}${String(pair.key.value)}`;
    const about = aboutAt(map, index);
    const { value } = pair as Pair<unknown, unknown>;
    if (about === undefined) {
      if (!isMap(value) || value.items.length === 0) throw new Error(`values.yaml says nothing about ${key}`);
      yield* rows(value, `${key}.`);
      continue;
    }
    yield `| \`${key}\` | \`${shown(value)}\` | ${about.replaceAll('|', '\\|')} |`;
    if (key === 'config' && isMap(value)) yield* rows(value, `${key}.`);
  }
}

/** The text of a comment between `# --` and the key. */
function aboutOf(comment: string | null | undefined): string | undefined {
  const start = comment?.lastIndexOf(' -- ') ?? -1;
  if (comment === undefined || comment === null || start < 0) return undefined;
  return comment
    .slice(start + 4)
    .replaceAll(/\s*\n\s*/g, ' ')
    .trim();
}

function shown(value: unknown): string {
  const plain = (value as { readonly toJSON?: () => unknown } | null)?.toJSON?.() ?? null;
  return JSON.stringify(plain);
}
