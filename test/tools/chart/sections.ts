import { isMap, parseDocument } from 'yaml';
import type { YAMLMap } from 'yaml';
import { hasDescription } from './values-table.js';

/**
 * The template that gives each section of the values (`pdb`, `networkPolicy.egress`) its defaults when the values lack the
 * whole section: Helm removes a section that is null, and `--reuse-values` lacks the sections of a newer chart. A mapping with a
 * description of its own, such as `resources`, is one value: null removes it.
 */
export function sectionsTemplate(valuesYaml: string): string {
  const { contents } = parseDocument(valuesYaml);
  if (!isMap(contents)) throw new Error('values.yaml is not a mapping');
  return [
    '{{- /* Written by "npm run generate" from values.yaml; do not edit. */ -}}',
    '{{- define "image-swapper.sections" -}}',
    ...lines(contents, '.Values'),
    '{{- end }}\n',
  ].join('\n');
}

function* lines(map: YAMLMap, parent: string): Generator<string> {
  for (const [index, pair] of map.items.entries()) {
    const { value } = pair;
    if (!isMap(value) || hasDescription(map, index)) continue;
    const key = String(pair.key);
    const defaults = JSON.stringify(value.toJSON());
    yield `{{- if not ${parent}.${key} }}{{ $_ := set ${parent} "${key}" (fromJson \`${defaults}\`) }}{{ end }}`;
    yield* lines(value as YAMLMap, `${parent}.${key}`);
  }
}
