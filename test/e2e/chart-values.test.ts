import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { gatekeeperChartValues } from '../../extension-service/src/core/engines/gatekeeper/chart-values.js';
import { kyvernoChartValues } from '../../extension-service/src/core/engines/kyverno/chart-values.js';
import { goModule, goToolsAvailable } from '../tools/tool.js';
import { CA } from '../unit/policies/example-options.js';

const available = await goToolsAvailable("values for the engines' own charts");

/** Helm ignores a value that no template reads, so the real engine's chart must list each value. */
describe.skipIf(!available)("values for the engines' own charts", () => {
  it.each([
    ['kyverno', 'github.com/kyverno/kyverno', 'charts/kyverno/values.yaml', kyvernoChartValues(CA)],
    [
      'gatekeeper',
      'github.com/open-policy-agent/gatekeeper/v3',
      'charts/gatekeeper/values.yaml',
      gatekeeperChartValues(),
    ],
  ])('%s lists every value', async (module, path, file, values) => {
    const chart = parse(await readFile(join(await goModule(module, path), file), 'utf8')) as unknown;
    expect(unlisted(values, chart)).toEqual([]);
    expect(unlisted({ ...values, misspelt: true }, chart)).toEqual(['misspelt']);
  });
});

/**
 * Returns the paths of values that the chart does not list. An empty object or null in the chart accepts any content.
 */
function unlisted(values: object, chart: unknown, path = ''): string[] {
  return Object.entries(values).flatMap(([key, value]: [string, unknown]) => {
    const at = path === '' ? key : `${path}.${key}`;
    if (typeof chart !== 'object' || chart === null || !Object.hasOwn(chart, key)) return [at];
    const there = (chart as Record<string, unknown>)[key];
    const isOpen = typeof there !== 'object' || there === null || Object.keys(there).length === 0;
    return typeof value !== 'object' || value === null || Array.isArray(value) || isOpen
      ? []
      : unlisted(value, there, at);
  });
}
