import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startAnsweringApi } from '../../fakes/answering-api.js';
import type { AnsweringApi } from '../../fakes/answering-api.js';
import { runHere } from '../../fakes/program.js';

/** `check --online` compares the policies in a cluster with the configuration. */

const LISTS = {
  mutatingpolicies: 'MutatingPolicy',
  assign: 'Assign',
  mutatingwebhookconfigurations: 'MutatingWebhookConfiguration',
} as const;
let api: AnsweringApi;
/**
 * Hashes in the annotations of objects, by kind; undefined for objects without a hash. Kinds without an entry are not
 * installed.
 */
let live: { readonly [kind in (typeof LISTS)[keyof typeof LISTS]]?: string | undefined };
let forbidden: string | undefined;
/** Image of Kyverno's admission controller; undefined when Kyverno is not installed. */
let kyverno: string | undefined;
const selectors = new Set<string | null>();

beforeAll(async () => {
  api = await startAnsweringApi('default', ({ path, query }) => {
    const plural = path.slice(path.lastIndexOf('/') + 1) as keyof typeof LISTS;
    if (forbidden !== undefined && path.includes(`/${forbidden}`)) return 403;
    if (plural === ('deployments' as string) && kyverno !== undefined) {
      const containers = [{ name: 'kyverno', image: kyverno }];
      return { kind: 'List', items: [{ metadata: { name: 'k' }, spec: { template: { spec: { containers } } } }] };
    }
    const kind = LISTS[plural];
    if (kind === undefined || !(kind in live)) return 404;
    selectors.add(query.get('labelSelector'));
    const hash = live[kind];
    const annotations = hash === undefined ? {} : { 'image-swapper.io/config-hash': hash };
    return { kind: 'List', items: [{ metadata: { name: 'swap', uid: 'u', resourceVersion: '1', annotations } }] };
  });
  // No registry listens on this port, because these tests do not check registries.
  const config = 'target: {type: oci, oci: {registry: "127.0.0.1:1", insecure: true}}\n';
  await writeFile(join(api.folder, 'image-swapper.yaml'), config);
});
afterAll(() => api.stop());
beforeEach(() => {
  live = {};
  forbidden = undefined;
  kyverno = undefined;
});

interface Result {
  readonly policies: { readonly kyverno: string; readonly gatekeeper: string };
  readonly cluster: readonly { readonly policy: string; readonly ok: boolean; readonly message: string }[];
}

async function check(
  env: Readonly<Record<string, string>> = { KUBECONFIG: api.kubeconfig },
  more: readonly string[] = [],
): Promise<Result> {
  const flags = ['check', '--online', '--output', 'json', '--config', 'image-swapper.yaml', ...more];
  const { stdout, stderr } = await runHere(flags, { env: { HOME: api.folder, ...env }, cwd: api.folder });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Result;
}

it('reports which policies match, belong to another configuration, or have no hash', async () => {
  const { policies } = await check({});
  expect(policies.gatekeeper).not.toBe(policies.kyverno);
  live = { MutatingPolicy: policies.kyverno, Assign: policies.kyverno, MutatingWebhookConfiguration: undefined };
  expect((await check()).cluster).toEqual([
    { policy: 'MutatingPolicy swap', ok: true, message: 'matches this configuration' },
    {
      policy: 'Assign swap',
      ok: false,
      message: `was rendered for another configuration (${policies.kyverno}, not ${policies.gatekeeper}): apply the output of image-swapper policies`,
    },
    {
      policy: 'MutatingWebhookConfiguration swap',
      ok: true,
      message: 'was rendered without a configuration: the service evaluates filters',
    },
  ]);
  expect([...selectors]).toEqual(['app.kubernetes.io/name=image-swapper']);
});

it('reports policies that it may not read and continues with the others', async () => {
  forbidden = 'mutatingpolicies';
  live = { Assign: 'old' };
  const { cluster } = await check();
  expect(cluster.map(({ policy, ok }) => [policy, ok])).toEqual([
    ['MutatingPolicy', true],
    ['Assign swap', false],
  ]);
  expect(cluster[0]?.message).toContain('not compared: mutatingpolicies.policies.kyverno.io: not allowed');
});

it('reports missing policies unless none are configured', async () => {
  expect((await check()).cluster).toEqual([
    {
      policy: 'policies',
      ok: true,
      message:
        'none found with the label app.kubernetes.io/name=image-swapper (policies.engine: kyverno); without policies no Pod is swapped',
    },
  ]);
  expect((await check(undefined, ['--set', 'policies.engine=none'])).cluster).toEqual([]);
});

it('names the kinds of the table that the cluster does not have, and a missing entry', async () => {
  const table = ['--set', 'policies.manage=true', '--set', 'policies.table=true'];
  const { cluster } = await check(undefined, table);
  expect(cluster.filter(({ ok }) => !ok)).toEqual([
    {
      policy: 'ImageTable',
      ok: false,
      message: expect.stringMatching(
        /^the cluster does not have image-swapper\.io\/v1alpha1 ImageTable: apply the CustomResourceDefinition/,
      ) as string,
    },
    {
      policy: 'GlobalContextEntry',
      ok: false,
      message: expect.stringMatching(
        /kyverno\.io\/v2 GlobalContextEntry: policies\.table needs Kyverno 1\.18/,
      ) as string,
    },
  ]);
  const { policies } = await check({}, table);
  live = { MutatingPolicy: policies.kyverno };
  const missing = (await check(undefined, table)).cluster.find(({ message }) => message.startsWith('is missing'));
  expect(missing).toMatchObject({ policy: 'GlobalContextEntry image-swapper', ok: false });
});

it.each([
  ['the table', ['--set', 'policies.table=true'], 'MutatingPolicy'],
  [
    'another mirror.platforms',
    ['--set', 'policies.table=true', '--set', 'mirror.platforms=[linux/s390x]'],
    'MutatingPolicy',
  ],
] as const)('reports a policy that was rendered without %s', async (_, changes, kind) => {
  const manage = ['--set', 'policies.manage=true'];
  const { policies } = await check({}, [...manage, ...changes.slice(0, -2)]);
  live = { [kind]: policies.kyverno };
  const { cluster } = await check(undefined, [...manage, ...changes]);
  const found = cluster.find(({ policy }) => policy === `${kind} swap`);
  expect(found).toMatchObject({ ok: false, message: expect.stringContaining('for another configuration') as string });
});

it('prints nothing without a cluster', async () => {
  expect((await check({})).cluster).toEqual([]);
});

it.each([
  ['kyverno:v1.20.0', false, 'which refuses to create or change a ClusterPolicy'],
  ['kyverno:v1.19.1', true, 'before you upgrade it'],
  [undefined, true, 'Kyverno 1.20 refuses to create or change a ClusterPolicy'],
])('reports what happens to a ClusterPolicy with Kyverno %s', async (image, ok, message) => {
  kyverno = image;
  const { cluster } = await check(undefined, ['--set', 'policies.engine=kyverno-clusterpolicy']);
  expect(cluster).toContainEqual({
    policy: 'policies.engine kyverno-clusterpolicy',
    ok,
    message: expect.stringContaining(message) as string,
  });
});
