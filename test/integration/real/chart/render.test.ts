import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { CASES } from '../../../tools/chart/cases.js';
import { CHART, Helm, objectOf } from '../../../tools/helm.js';
import type { KubernetesObject } from '../../../tools/helm.js';
import { goToolsAvailable } from '../../../tools/tool.js';

const available = await goToolsAvailable('the Helm chart');
/** Kinds that policies.test.ts compares with the output of the renderers. */
const POLICIES = ['MutatingPolicy', 'ClusterPolicy', 'Provider', 'Assign', 'MutatingWebhookConfiguration'];

/** Returns the object without the parts that other tests compare with their source. */
function abridged(object: KubernetesObject): KubernetesObject {
  const { kind } = object;
  // The end of a Job's name depends on its content, including the version of the chart.
  const name = object.metadata.name.replace(/(-prewarm-)[0-9a-f]{8}$/, '$1HASH');
  const metadata = { ...object.metadata, name };
  if (kind === 'Job') return { ...object, metadata };
  if (POLICIES.includes(kind)) return { ...object, spec: "its renderer's", webhooks: "its renderer's" };
  if (kind === 'PrometheusRule') return { ...object, spec: "its file's" };
  return metadata.name.endsWith('-dashboard') ? { ...object, data: "its file's" } : object;
}

function identity({ kind, metadata }: KubernetesObject): string {
  return `${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`;
}

/** Returns one line for each leaf, so that differences are lines. Labels that every object has are left out. */
function lines(value: unknown, path = ''): string[] {
  if (/(?:app\.kubernetes\.io\/(?:version|managed-by|instance)|helm\.sh\/chart)$/.test(path)) return [];
  if (typeof value === 'object' && value !== null && Object.keys(value).length > 0) {
    return Object.entries(value).flatMap(([key, child]) =>
      lines(child, Array.isArray(value) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`),
    );
  }
  return typeof value === 'string' && value.includes('\n')
    ? value.split('\n').map((line) => `${path} | ${line}`)
    : [`${path}: ${JSON.stringify(value)}`];
}

/** Returns the differences between the objects and the defaults in both directions. New objects are complete. */
function differences(objects: readonly KubernetesObject[], defaults: readonly KubernetesObject[]): string {
  const known = new Map(defaults.map((object) => [identity(object), object]));
  const texts = objects.flatMap((object) => {
    const before = known.get(identity(object));
    known.delete(identity(object));
    if (before === undefined) return [`${identity(object)}: new\n${indented(lines(object), '  ')}`];
    const [old, now] = [lines(before), lines(object)];
    const gone = indented(
      old.filter((line) => !now.includes(line)),
      '  - ',
    );
    const come = indented(
      now.filter((line) => !old.includes(line)),
      '  + ',
    );
    return gone === '' && come === '' ? [] : [`${identity(object)}\n${gone}${come}`];
  });
  return [...texts, ...[...known.keys()].map((name) => `${name}: gone\n`)].sort().join('');
}

const indented = (texts: readonly string[], indent: string): string =>
  texts.map((text) => `${indent}${text}\n`).join('');

describe.skipIf(!available)('helm template', () => {
  let helm: Helm;
  let defaults: readonly KubernetesObject[];

  beforeAll(async () => {
    helm = await Helm.create();
    defaults = await helm.objects({ values: CASES[0]?.values ?? {} });
  });

  it('succeeds with the chart', async () => {
    const lint = ['lint', '--strict', CHART, '--set', 'config.target.gcp.location=europe-west3'];
    lint.push('--set', 'config.target.gcp.projectId=my-shop', '--set', 'config.target.gcp.repositoryId=mirror');
    expect(await helm.run(lint)).toMatchObject({ code: 0 });
  });

  it('renders the defaults unchanged', async () => {
    const text = defaults.map((object) => stringify(object, { lineWidth: 0 })).sort();
    await expect(text.join('---\n')).toMatchFileSnapshot('../../../fixtures/chart/defaults.yaml');
  });

  it.each(CASES.slice(1))('renders $name unchanged in comparison with the defaults', async ({ name, values }) => {
    const objects = (await helm.objects({ values })).map(abridged);
    await expect(differences(objects, defaults.map(abridged))).toMatchFileSnapshot(
      `../../../fixtures/chart/${name}.txt`,
    );
  });

  it.each(CASES)(
    'writes every object of $name to the namespace of its release, with its labels',
    async ({ values }) => {
      const extra = ['as-mapping', 'as-text', 'image-swapper-extra'];
      for (const object of await helm.objects({ values, namespace: 'elsewhere' })) {
        if (extra.includes(object.metadata.name)) continue;
        expect(object.metadata.labels, identity(object)).toMatchObject({
          'app.kubernetes.io/instance': 'image-swapper',
          'app.kubernetes.io/managed-by': 'Helm',
        });
        expect(['elsewhere', 'leases', undefined], identity(object)).toContain(object.metadata.namespace);
      }
    },
  );

  it('includes the alerts and the dashboard as in their files', async () => {
    const objects = await helm.objects({ values: CASES.find(({ name }) => name === 'monitoring')?.values ?? {} });
    const file = (path: string): Promise<string> => readFile(join(CHART, path), 'utf8');
    expect(objectOf(objects, 'PrometheusRule')['spec']).toEqual(parse(await file('alerts/image-swapper.yaml')));
    const { data } = objectOf(objects, 'ConfigMap', 'image-swapper-dashboard') as unknown as {
      readonly data: Readonly<Record<string, string>>;
    };
    expect(JSON.parse(data['image-swapper.json'] ?? '')).toEqual(
      JSON.parse(await file('dashboards/image-swapper.json')),
    );
  });
});
