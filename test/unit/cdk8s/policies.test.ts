import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Yaml, type App } from 'cdk8s';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { exampleApps } from '../../../cdk8s/example.js';
import { crdProblems } from '../policies/crd-schema.js';
import { webhookProblems } from '../policies/webhook-schema.js';

const root = fileURLToPath(new URL('../../../policies', import.meta.url));
const committed = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.yaml'))
  .sort();

/** What each file of the folder would hold. */
function render(): Record<string, string> {
  const charts = exampleApps(root).flatMap((app: App) =>
    app.charts.map((chart): [string, string] => {
      const folder = app.outdir.slice(root.length + 1);
      return [`${folder}/${chart.node.id}.yaml`, Yaml.stringify(...(chart.toJson() as unknown[]))];
    }),
  );
  return Object.fromEntries(charts);
}

describe('policies/', () => {
  it('is what the code renders; otherwise run npm run policies', () => {
    const rendered = render();
    expect(committed).toEqual(Object.keys(rendered).sort());
    for (const path of committed) expect(readFileSync(`${root}/${path}`, 'utf8'), path).toBe(rendered[path]);
  });

  it.each(committed)('%s is valid for the API that it is for', (path) => {
    const objects = parseAllDocuments(readFileSync(`${root}/${path}`, 'utf8')).map(
      (document) => document.toJS() as { apiVersion: string; kind: string },
    );
    expect(objects.length).toBeGreaterThan(0);
    for (const object of objects) {
      const problems = object.kind === 'MutatingWebhookConfiguration' ? webhookProblems(object) : crdProblems(object);
      expect(problems).toEqual([]);
    }
  });

  it('has a line about each file in its README', () => {
    const readme = readFileSync(`${root}/README.md`, 'utf8');
    for (const path of committed) expect(readme).toContain(`\`${path}\``);
  });
});
