import { enginesTemplate } from './engines.js';
import { kindTemplates } from './kinds.js';
import { policyTemplates } from './policies.js';
import { sectionsTemplate } from './sections.js';
import { withValuesTable } from './values-table.js';
import { valuesJsonSchema } from './values-schema.js';

/** Path and expected content of every generated file of the chart. `read` returns the content of a source file. */
export function generatedChartFiles(read: (file: string) => string): ReadonlyMap<string, string> {
  const values = read('values.yaml');
  return new Map([
    ['values.schema.json', `${JSON.stringify(valuesJsonSchema(values), undefined, 2)}\n`],
    ['README.md', withValuesTable(read('README.md'), values)],
    ['templates/_engines.tpl', enginesTemplate()],
    ['templates/_kinds.tpl', kindTemplates()],
    ['templates/_sections.tpl', sectionsTemplate(values)],
    ...[...policyTemplates()].map(([name, text]) => [`templates/policies/${name}`, text] as const),
  ]);
}
