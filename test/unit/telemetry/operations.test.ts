import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { EventReason } from '../../../extension-service/src/kubernetes/events/copy-event.js';
import { metricTable, ownMetrics } from '../../tools/metric-table.js';

/** Alerts, dashboard and docs use only metrics that exist. */

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const page = read('docs/operations.md');
const chart = 'extension-service/chart';
const alerts = read(`${chart}/alerts/image-swapper.yaml`);
const dashboard = read(`${chart}/dashboards/image-swapper.json`);

const { repository } = JSON.parse(read('package.json')) as { readonly repository: string };

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary?: string; readonly description?: string; readonly runbook_url?: string };
}
const rules = (parse(alerts) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);

/** Names of the metric series, with the suffixes of the Prometheus text format. */
async function seriesNames(): Promise<Set<string>> {
  const metrics = await ownMetrics();
  const suffixes = (type: string): string[] => (type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']);
  return new Set(metrics.flatMap(({ name, type }) => suffixes(type).map((suffix) => `${name}${suffix}`)));
}
const named = (text: string): string[] => [...new Set(text.match(/\bimage_swapper_[a-z0-9_]+/g) ?? [])].sort();

describe('metrics', () => {
  it('are all in docs/operations.md, and no others', async () => {
    expect(page).toContain(`${await metricTable()}\n\n`);
    const all = (await ownMetrics()).map(({ name }) => name);
    expect(named(page).filter((name) => !all.includes(name))).toEqual([]);
  });

  it('have their own help text and no label that Pods control', async () => {
    const metrics = await ownMetrics();
    expect(new Set(metrics.map(({ help }) => help)).size).toBe(metrics.length);
    const labels = new Set(metrics.flatMap((metric) => metric.labels));
    expect([...labels].sort()).toEqual(
      ['action', 'check', 'code', 'kind', 'outcome', 'registry', 'route', 'state', 'target', 'type', 'verdict'].sort(),
    );
  });

  it.each([
    ['alerts', alerts],
    ['the dashboard', dashboard],
  ])('include those that %s use', async (_what, text) => {
    const series = await seriesNames();
    expect(named(text).length).toBeGreaterThan(5);
    expect(named(text).filter((name) => !series.has(name))).toEqual([]);
  });

  it('are all on the dashboard', async () => {
    const shown = named(dashboard).map((name) => name.replace(/_bucket$/, ''));
    expect((await ownMetrics()).map(({ name }) => name).filter((name) => !shown.includes(name))).toEqual([]);
  });
});

it('the page begins with the most common symptom and its cause', () => {
  const [, first = ''] = page.split(/^## /m);
  expect(first).toMatch(/^An image is not swapped, or not mirrored\n/);
  for (const tool of ['explain', 'status', 'get events', '/metrics', 'check --online', 'get lease']) {
    expect(first).toContain(tool);
  }
  const reasons = [...first.matchAll(/--field-selector reason=(\w+)/g)].map(([, reason]) => reason);
  const known = [
    'Mirrored',
    'MirrorFailed',
    'TagConflict',
    'MirrorRepaired',
    'SignaturesMissing',
    'MirrorHeld',
    'MirrorDenied',
    'SourceVanished',
  ] satisfies EventReason[];
  expect(known).toEqual(expect.arrayContaining(reasons));
});

describe('alerts', () => {
  it('name the problem and the documentation of its remedy', () => {
    expect(rules.length).toBeGreaterThan(10);
    for (const { alert, annotations } of rules) {
      const { summary = '', description = '', runbook_url: runbook = '' } = annotations;
      expect([alert, summary.length > 10, description.length > 20]).toEqual([alert, true, true]);
      const [file, anchor] = runbook.split('#');
      expect([alert, file]).toEqual([alert, `${repository}/blob/main/docs/operations.md`]);
      expect(page).toContain(`<a id="${anchor}"></a>`);
      expect(page).toContain(`\`${alert}\``);
    }
  });

  it('distinguish installations: sums are by namespace and job', () => {
    expect(repository).toMatch(/^https:\/\/[a-z.]+\/[\w-]+\/[\w-]+$/);
    for (const { alert, expr } of rules) {
      const grouped = expr.match(/\b(?:by|on) \([^)]+\)/g) ?? [];
      expect([alert, grouped.filter((clause) => !clause.includes('(namespace, job'))]).toEqual([alert, []]);
      expect([alert, /\b(?:sum|max|min|avg|count) \(/.test(expr)]).toEqual([alert, false]);
    }
  });

  it('in the documentation are the existing ones', () => {
    const documented = new Set(page.match(/\bImageSwapper[A-Z]\w+/g));
    expect([...documented].sort()).toEqual(rules.map(({ alert }) => alert).sort());
  });
});
