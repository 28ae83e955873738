import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { generatedChartFiles } from '../../tools/chart/generated.js';
import { lineEdits } from '../../tools/chart/policy-lines.js';

const chart = new URL('../../../extension-service/chart/', import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, chart), 'utf8');

describe('the generated files of the chart', () => {
  it.each([...generatedChartFiles(read)])('%s is what npm run generate writes', (file, text) => {
    expect(read(file)).toBe(text);
  });

  it('cannot be generated when the renderers return fields that the chart does not support', () => {
    expect(() =>
      lineEdits('Assign', 'metadata:\n  name: zzname\n    zzlabels: ""\n  annotations:\n    zzannotations: ""\n'),
    ).toThrow("Assign: the chart's template has no place for namespaces");
  });
});
