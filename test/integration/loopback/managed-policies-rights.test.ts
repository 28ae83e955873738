import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { CONFIG_HASH_ANNOTATION } from '../../../extension-service/src/core/policies/config-hash.js';
import { connectCluster } from '../../../extension-service/src/kubernetes/api.js';
import { ConfigFeed } from '../../../extension-service/src/kubernetes/live-config.js';
import { deleteManaged } from '../../../extension-service/src/kubernetes/managed-policies/delete-managed.js';
import { ManagedPolicies } from '../../../extension-service/src/kubernetes/managed-policies/managed-policies.js';
import { PolicyObjects } from '../../../extension-service/src/kubernetes/managed-policies/policy-objects.js';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import { startAnsweringApi } from '../../fakes/answering-api.js';
import type { AnsweringApi, AskedApi } from '../../fakes/answering-api.js';
import { until } from '../../fakes/until.js';
import { grants, snapshotRules } from '../../tools/chart/snapshot-rules.js';
import type { Rule } from '../../tools/chart/snapshot-rules.js';
import { parse, target } from '../../unit/config/parsing.js';
import { CA } from '../../unit/policies/example-options.js';

/** An API server that stores policies and grants what the chart's ClusterRole grants, and nothing else. */

interface Stored {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly annotations: Readonly<Record<string, string>>;
    readonly resourceVersion?: string | undefined;
    readonly managedFields?: readonly object[] | undefined;
  };
  readonly webhooks?: readonly { readonly namespaceSelector: { readonly matchExpressions: readonly object[] } }[];
}

const SPLIT = ["obj.metadata.namespace == 'a' && obj.metadata.labels.x == 'y'"];
const VERBS: Readonly<Record<string, string>> = { PATCH: 'patch', PUT: 'update', DELETE: 'delete' };

const apis: AnsweringApi[] = [];
afterEach(async () => {
  await Promise.all(apis.splice(0).map((api) => api.stop()));
});

/** Returns the chart's rules with `policies.manage` and this engine. */
function chartRules(engine: string): readonly Rule[] {
  return snapshotRules(`test/fixtures/chart/managed-${engine}.txt`, 'ClusterRole image-swapper:image-swapper-policies');
}

/** @param platform changes a stored object after each write, as the platform of some clusters does */
async function cluster(rules: { current: readonly Rule[] }, platform: (object: Stored) => Stored = (same) => same) {
  const stored = new Map<string, Stored>();
  const refused: string[] = [];
  const lists: string[] = [];
  const writes: string[] = [];
  const reads: string[] = [];
  let version = 0;
  const api = await startAnsweringApi('image-swapper', ({ method, path, query, body }: AskedApi) => {
    const [, group = '', resource = '', name] = /^\/apis\/([^/]+)\/[^/]+\/([^/]+)(?:\/([^/]+))?$/.exec(path) ?? [];
    const verbs = name === undefined ? ['list'] : [VERBS[method] ?? 'get'];
    // To create an object, server-side apply also needs `create` on its name.
    if (method === 'PATCH' && !stored.has(path)) verbs.push('create');
    if (name === undefined) lists.push(resource);
    if (!verbs.every((verb) => grants(rules.current, group, resource, verb, name))) {
      refused.push(`${verbs.join('+')} ${resource} ${name ?? ''}`);
      return 403;
    }
    (method === 'GET' ? reads : writes).push(`${method} ${resource} ${name ?? ''}`);
    if (method === 'DELETE') return stored.delete(path) ? { kind: 'Status' } : 404;
    if (method === 'PATCH' || method === 'PUT') {
      const object = body as Stored;
      const before = stored.get(path);
      const isChanged = before === undefined || contentOf(before) !== contentOf(object);
      const applied = [{ manager: query.get('fieldManager'), operation: 'Apply' }];
      const managedFields = isChanged ? applied : before.metadata.managedFields;
      const resourceVersion = isChanged ? String((version += 1)) : before.metadata.resourceVersion;
      const written = { ...object, metadata: { ...object.metadata, uid: path, resourceVersion, managedFields } };
      const after = platform(written);
      const change = { resourceVersion: after === written ? resourceVersion : String((version += 1)) };
      stored.set(path, { ...after, metadata: { ...after.metadata, ...change } });
      return written;
    }
    return stored.get(path) ?? 404;
  });
  apis.push(api);
  const access = await connectCluster({ KUBECONFIG: api.kubeconfig });
  if (access === undefined) throw new Error('no cluster');
  const names = () => [...stored.values()].map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort();
  return { stored, refused, lists, reads, writes, names, objects: await PolicyObjects.connect(access) };
}

function contentOf({ metadata, ...object }: Stored): string {
  return JSON.stringify([object, metadata.annotations]);
}

function configOf(engine: string, filters: readonly string[] = []): Config {
  const listed = filters.map((filter) => `{jmespath: ${JSON.stringify(filter)}}`).join(', ');
  return parse(
    `${target}policies: {manage: true, engine: ${engine}, url: "https://image-swapper.image-swapper.svc:8443"}\n` +
      `tls: {mode: selfSigned, dnsNames: [image-swapper.image-swapper.svc]}\nsource: {filters: [${listed}]}\n`,
  ).config;
}

/** Starts a leader and returns a function that sets its configuration. */
function lead(objects: PolicyObjects, config: Config) {
  const feed = new ConfigFeed(config);
  const stop = new AbortController();
  const log: string[] = [];
  const task = new ManagedPolicies({
    objects,
    config: feed,
    namespace: 'image-swapper',
    caBundle: () => Promise.resolve(CA),
    log: (_level, message) => log.push(message),
  });
  const ended = task.lead(stop.signal);
  return {
    log,
    set: (next: Config) => {
      feed.set(next);
    },
    end: async () => {
      stop.abort();
      await ended;
    },
  };
}

it('manages the objects of Gatekeeper with the rights of the chart, under stable names', async () => {
  const { stored, refused, lists, names, objects } = await cluster({ current: chartRules('gatekeeper') });
  const one = ['containers', 'initcontainers', 'volumes'].map((list) => `Assign zz-image-swapper-${list}`);
  const leader = lead(objects, configOf('gatekeeper'));
  await until('the objects', () => names().length === 4);
  expect(names()).toEqual([...one, 'Provider image-swapper']);
  const hash = () =>
    [...stored.values()].find(({ kind }) => kind === 'Provider')?.metadata.annotations[CONFIG_HASH_ANNOTATION];
  const before = hash();
  leader.set(configOf('gatekeeper', SPLIT));
  await until('several mutators', () => names().length === 7);
  expect(names()).toEqual([...one.flatMap((name) => [`${name}-1`, `${name}-2`]), 'Provider image-swapper']);
  expect(hash()).not.toBe(before);
  leader.set(configOf('gatekeeper'));
  await until('one mutator again', () => names().length === 4 && hash() === before);
  await leader.end();
  expect(lists).toEqual([]);
  // The leader checks each unused engine at most once after each change.
  const unused = /^get (?:mutatinga|mutatingp|clusterp|mutatingw|globalc|imaget)\w+ image-swapper(?:-recent|-0)?$/;
  expect(refused.filter((request) => !unused.test(request))).toEqual([]);
  expect(leader.log.filter((line) => line.includes('not allowed'))).toEqual([]);
});

it('manages the table of Kyverno with the rights of the chart, and deletes all of it when told to', async () => {
  const table = (isOn: boolean): Config => {
    const config = configOf('kyverno');
    return { ...config, policies: { ...config.policies, table: isOn } };
  };
  const { refused, lists, names, objects } = await cluster({ current: chartRules('kyverno-table') });
  const leader = lead(objects, table(true));
  await until('the objects', () => names().length === 2);
  expect(names()).toEqual(['GlobalContextEntry image-swapper', 'MutatingPolicy image-swapper']);
  await leader.end();
  expect(lists).toEqual([]);
  expect(leader.log.filter((line) => line.includes('not allowed'))).toEqual([]);
  expect(refused.filter((request) => /mutatingpolicies|globalc|imaget/.test(request))).toEqual([]);
  const { problems } = await deleteManaged(objects, table(true), 'image-swapper');
  // The rights do not cover the other engines.
  expect(problems.filter((problem) => /mutatingpolicies|globalc|imaget/.test(problem))).toEqual([]);
  expect(names()).toEqual([]);
});

it('removes mutators of earlier filters before it changes their Provider', async () => {
  const { names, objects, writes } = await cluster({ current: chartRules('gatekeeper') });
  const leader = lead(objects, configOf('gatekeeper', SPLIT));
  await until('several mutators', () => names().length === 7);
  writes.length = 0;
  leader.set(configOf('gatekeeper'));
  await until('one mutator again', () => writes.includes('PATCH assign zz-image-swapper-volumes'));
  await leader.end();
  const assigns = ['containers', 'initcontainers', 'volumes'].map((list) => `assign zz-image-swapper-${list}`);
  expect(writes).toEqual([
    ...assigns.flatMap((name) => [`DELETE ${name}-1`, `DELETE ${name}-2`]),
    'PATCH providers image-swapper',
    ...assigns.map((name) => `PATCH ${name}`),
  ]);
});

it('deletes the objects of the previous engine if it has the right to, and reports nothing otherwise', async () => {
  const rules = { current: [...chartRules('webhook-ca-bundle'), ...chartRules('kyverno-clusterpolicy')] };
  rules.current = rules.current.map((rule) => ({ ...rule, resourceNames: ['image-swapper'] }));
  const { names, objects } = await cluster(rules);
  const leader = lead(objects, configOf('kyverno-clusterpolicy'));
  await until('the policy', () => names().length === 1);
  leader.set(configOf('webhook'));
  await until('the webhook alone', () => names().join() === 'MutatingWebhookConfiguration image-swapper');
  rules.current = rules.current.filter(({ apiGroups }) => apiGroups.includes('kyverno.io'));
  leader.set(configOf('kyverno-clusterpolicy'));
  await until('the policy again', () => names().length === 2);
  await sleep(100);
  await leader.end();
  expect(names()).toEqual(['ClusterPolicy image-swapper', 'MutatingWebhookConfiguration image-swapper']);
  expect(leader.log.filter((line) => !/: (?:created|removed)/.test(line))).toEqual([]);
});

it('deletes managed policies by their names when it may not list', async () => {
  const { names, objects, lists } = await cluster({ current: chartRules('gatekeeper') });
  const leader = lead(objects, configOf('gatekeeper'));
  await until('the objects', () => names().length === 4);
  await leader.end();
  const { objects: deleted } = await deleteManaged(objects, configOf('gatekeeper'), 'image-swapper');
  expect(names()).toEqual([]);
  expect([...deleted].sort()).toEqual([
    'Assign zz-image-swapper-containers',
    'Assign zz-image-swapper-initcontainers',
    'Assign zz-image-swapper-volumes',
    'Provider image-swapper',
  ]);
  expect(lists).toContain('assign');
});

it('manages the webhook of policies.undecidable with the rights of the chart, while a filter needs it', async () => {
  const rules = { current: chartRules('mutatingadmissionpolicy-webhook') };
  const { stored, refused, lists, names, objects } = await cluster(rules);
  const table = ['MutatingAdmissionPolicy', 'MutatingAdmissionPolicyBinding'].flatMap((kind) => [
    `${kind} image-swapper`,
    `${kind} image-swapper-recent`,
  ]);
  const all = [...table, 'MutatingWebhookConfiguration image-swapper'];
  const undecidable = 'mutatingadmissionpolicy, undecidable: webhook';
  const leader = lead(objects, configOf(undecidable, ['obj.spec.hostNetwork']));
  await until('the objects', () => names().length === all.length);
  expect(names()).toEqual(all);
  const [webhook] = [...stored.values()].filter(({ kind }) => kind === 'MutatingWebhookConfiguration');
  expect(webhook).toMatchObject({ webhooks: [{ clientConfig: { caBundle: Buffer.from(CA).toString('base64') } }] });
  // The API server can decide this filter.
  leader.set(configOf(undecidable, SPLIT));
  await until('the webhook is deleted', () => names().length === table.length);
  leader.set(configOf(undecidable, ['obj.spec.hostNetwork']));
  await until('the webhook is back', () => names().length === all.length);
  leader.set(configOf('mutatingadmissionpolicy', SPLIT));
  await until('the webhook is deleted again', () => names().length === table.length);
  expect(names()).toEqual(table);
  await leader.end();
  expect(lists).toEqual([]);
  expect(refused.filter((line) => !line.startsWith('get '))).toEqual([]);
  expect(leader.log.filter((line) => line.includes('not allowed'))).toEqual([]);
});

const AKS = [
  { key: 'control-plane', operator: 'NotIn', values: ['true'] },
  { key: 'kubernetes.azure.com/managedby', operator: 'NotIn', values: ['aks'] },
];

/** Excludes the platform's namespaces from every webhook that does not exclude them, as on Azure Kubernetes Service. */
function admissionsEnforcer(object: Stored): Stored {
  const lacks = object.webhooks?.filter((one) => !selectorOf(one).some(({ key }) => key === 'control-plane')) ?? [];
  if (lacks.length === 0) return object;
  const webhooks = object.webhooks?.map((one) => ({
    ...one,
    namespaceSelector: { matchExpressions: [...selectorOf(one), ...AKS] },
  }));
  const enforcer = { manager: 'admissionsenforcer', operation: 'Update', fieldsV1: { 'f:webhooks': {} } };
  const managedFields = [...(object.metadata.managedFields ?? []), enforcer];
  return { ...object, metadata: { ...object.metadata, managedFields }, webhooks: webhooks ?? [] };
}

function selectorOf(webhook: NonNullable<Stored['webhooks']>[number]) {
  return webhook.namespaceSelector.matchExpressions as readonly { readonly key: string; readonly values?: unknown }[];
}

it('leaves a webhook alone to which the platform of the cluster has added namespaces', async () => {
  const named = chartRules('webhook-ca-bundle').map((rule) => ({ ...rule, resourceNames: ['image-swapper'] }));
  const rules = { current: named };
  const { stored, reads, writes, objects } = await cluster(rules, admissionsEnforcer);
  const selector = () => [...stored.values()].flatMap(({ webhooks }) => webhooks ?? []).flatMap(selectorOf);
  const excluding = (name: string): Config => {
    const config = configOf('webhook');
    return { ...config, policies: { ...config.policies, excludedNamespaces: [name] } };
  };
  const leader = lead(objects, excluding('first'));
  await until('the webhook', () => selector().length > 1);
  leader.set(excluding('second'));
  await until('the change', () => JSON.stringify(selector()).includes('second'));
  expect(selector().slice(1)).toEqual(AKS);
  expect(JSON.stringify(selector())).not.toContain('first');
  const pass = async (): Promise<void> => {
    const before = reads.length;
    leader.set(excluding('second'));
    await until('a pass', () => reads.length > before);
  };
  // A pass begins after the previous one has ended.
  await pass();
  await pass();
  const settled = writes.length;
  await pass();
  await pass();
  await leader.end();
  expect(writes.slice(settled)).toEqual([]);
  expect(selector().slice(1)).toEqual(AKS);
});
