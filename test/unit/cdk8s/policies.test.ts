import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Yaml, type App } from 'cdk8s';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { exampleApps, exampleSuites } from '../../../cdk8s/example.js';
import { crdProblems } from '../policies/crd-schema.js';
import { webhookProblems } from '../policies/webhook-schema.js';

const root = fileURLToPath(new URL('../../../policies', import.meta.url));
const committed = readdirSync(root, { recursive: true, encoding: 'utf8' })
  // The files in configurations/ are written by hand.
  .filter((path) => path.endsWith('.yaml') && !path.startsWith('configurations/'))
  .sort();
const objects = committed.filter((path) => !path.includes('/tests/'));

/** The expected content of each file in the folder. */
function render(): Record<string, string> {
  const charts = exampleApps(root).flatMap((app: App) =>
    app.charts.map((chart): [string, string] => {
      const folder = app.outdir.slice(root.length + 1);
      return [`${folder}/${chart.node.id}.yaml`, Yaml.stringify(...(chart.toJson() as unknown[]))];
    }),
  );
  return { ...Object.fromEntries(charts), ...exampleSuites() };
}

describe('policies/', () => {
  it('equals the rendered policies; otherwise run npm run policies', () => {
    const rendered = render();
    expect(committed).toEqual(Object.keys(rendered).sort());
    for (const path of committed) expect(readFileSync(`${root}/${path}`, 'utf8'), path).toBe(rendered[path]);
  });

  it.each(objects)('%s is valid for the API that it is for', (path) => {
    const found = parseAllDocuments(readFileSync(`${root}/${path}`, 'utf8')).map(
      (document) => document.toJS() as { apiVersion: string; kind: string },
    );
    expect(found.length).toBeGreaterThan(0);
    for (const object of found) {
      // The API server validates these objects in test/e2e/cluster/admission-table.test.ts.
      if (object.kind.startsWith('MutatingAdmissionPolicy')) continue;
      const problems = object.kind === 'MutatingWebhookConfiguration' ? webhookProblems(object) : crdProblems(object);
      expect(problems).toEqual([]);
    }
  });

  it('has a suite beside each of Kyverno', () => {
    const suites = committed.filter((path) => path.endsWith('kyverno-test.yaml'));
    const kyverno = objects.filter((path) => path.startsWith('kyverno/'));
    const suiteOf = (path: string): string => path.replace(/([^/]+)\.yaml$/, 'tests/$1/kyverno-test.yaml');
    expect(suites.sort()).toEqual(kyverno.map(suiteOf).sort());
  });

  it('has a line for each file in its README', () => {
    const readme = readFileSync(`${root}/README.md`, 'utf8');
    for (const path of objects) expect(readme).toContain(`\`${path}\``);
  });
});
