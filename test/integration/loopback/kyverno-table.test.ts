import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { connectCluster } from '../../../extension-service/src/kubernetes/api.js';
import { MirroredImages } from '../../../extension-service/src/kubernetes/image-table/mirrored-images.js';
import type { TableReport } from '../../../extension-service/src/kubernetes/image-table/mirrored-images.js';
import { ConfigFeed } from '../../../extension-service/src/kubernetes/live-config.js';
import { ManagedPolicies } from '../../../extension-service/src/kubernetes/managed-policies/managed-policies.js';
import { PolicyObjects } from '../../../extension-service/src/kubernetes/managed-policies/policy-objects.js';
import { Sources } from '../../../extension-service/src/kubernetes/workloads/sources.js';
import { usesOf } from '../../../extension-service/src/kubernetes/workloads/uses.js';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { until } from '../../fakes/until.js';
import { parse } from '../../unit/config/parsing.js';

/** The objects that the leader writes for `policies.table`. */

const TABLES = '/apis/image-swapper.io/v1alpha1/imagetables/';
const ENTRIES = '/apis/kyverno.io/v2/globalcontextentries/';
const POLICIES = '/apis/policies.kyverno.io/v1/mutatingpolicies/';
const kubeconfig = join(tmpdir(), `image-swapper-kyverno-table-${process.pid}.json`);
const leaders: { stop(): Promise<void> }[] = [];
let cluster: FakeCluster;

beforeEach(async () => {
  cluster = await FakeCluster.start();
  for (const path of [TABLES, ENTRIES, POLICIES]) cluster.applied.serve(path);
  await writeFile(kubeconfig, cluster.kubeconfig());
});
afterEach(async () => {
  await Promise.all(leaders.splice(0).map((leader) => leader.stop()));
  await Promise.all([cluster.close(), rm(kubeconfig)]);
});

const configured = (more = '', table = true): Config =>
  parse(`target: {oci: {registry: mirror.test}}\npolicies: {manage: true, table: ${table}}\n${more}`).config;

const RULES = compileRules(configured(), namingTarget);

function jobOf(tag: string): MirrorJob {
  const pod = { spec: { containers: [{ name: 'a', image: `app:${tag}` }] } };
  const [job] = usesOf(RULES, new Sources(), pod, 'team-a').jobs;
  if (job === undefined) throw new Error('no job');
  return job;
}

async function lead(config = configured()) {
  const access = await connectCluster({ KUBECONFIG: kubeconfig });
  if (access === undefined) throw new Error('no cluster');
  const log: string[] = [];
  const reports: TableReport[] = [];
  const images = new MirroredImages({
    log: (_level, message) => log.push(message),
    onReport: (report) => reports.push(report),
  });
  const feed = new ConfigFeed(config);
  const task = new ManagedPolicies({
    ...{ images, namespace: 'image-swapper', config: feed },
    objects: await PolicyObjects.connect(access),
    caBundle: () => Promise.resolve(undefined),
    log: (_level, message) => log.push(message),
  });
  const term = new AbortController();
  const ended = task.lead(term.signal);
  const leader = {
    ...{ images, log, reports },
    set: (next: Config) => feed.set(next),
    stop: async () => {
      term.abort();
      await ended;
    },
  };
  leaders.push(leader);
  return leader;
}

const writes = (from = 0): readonly string[] => cluster.applied.writes.slice(from).map(({ path }) => path);
const last = (path: string): string => cluster.applied.writes.findLast((write) => write.path === path)?.text ?? '';
const imagesOf = (page = 0): Readonly<Record<string, string>> =>
  (JSON.parse(last(`${TABLES}image-swapper-${page}`)) as { spec: { images: Record<string, string> } }).spec.images;
const isInTable = (tag: string): boolean => last(`${TABLES}image-swapper-0`).includes(`app:${tag}"`);

it('writes the table before its entry and the policy, then only the object that an image concerns', async () => {
  const leader = await lead();
  await until('the policy is written', () => last(`${POLICIES}image-swapper`) !== '');
  expect(writes()).toEqual([`${TABLES}image-swapper-0`, `${ENTRIES}image-swapper`, `${POLICIES}image-swapper`]);
  expect(imagesOf()).toEqual({});
  leader.images.present(jobOf('first'));
  await until('the image is in the table', () => isInTable('first'));
  expect(imagesOf()).toEqual({ 'docker.io/library/app:first': 'mirror.test/docker.io/library/app:first' });
  expect(writes(3)).toEqual([`${TABLES}image-swapper-0`]);
  await until('the report', () => leader.reports.at(-1)?.entries === 1);
  expect(leader.reports.at(-1)).toMatchObject({
    entries: 1,
    writes: 1,
    added: ['mirror.test/docker.io/library/app:first'],
  });
});

it('removes an image, and makes Kyverno read everything again, before the removal counts as applied', async () => {
  const leader = await lead();
  leader.images.present(jobOf('kept'));
  leader.images.present(jobOf('left'));
  await until('both are in the table', () => isInTable('kept') && isInTable('left'));
  await leader.images.untilApplied(AbortSignal.timeout(20_000));
  const before = cluster.applied.writes.length;
  const entry = last(`${ENTRIES}image-swapper`);
  leader.images.missing(jobOf('left'));
  await leader.images.untilApplied(AbortSignal.timeout(20_000));
  expect(isInTable('left')).toBe(false);
  expect(isInTable('kept')).toBe(true);
  expect(writes(before)).toEqual([`${TABLES}image-swapper-0`, `${ENTRIES}image-swapper`]);
  expect(last(`${ENTRIES}image-swapper`)).not.toBe(entry);
}, 60_000);

it('names the definition to apply while the cluster does not have the kind, and lets Kyverno ask meanwhile', async () => {
  cluster.applied.stopServing(TABLES);
  const leader = await lead();
  leader.images.present(jobOf('first'));
  await until('the log says so', () =>
    leader.log.some((line) =>
      /ImageTable image-swapper-0: the cluster does not have image-swapper\.io\/v1alpha1 ImageTable: apply the CustomResourceDefinition/.test(
        line,
      ),
    ),
  );
  await until('the policy is written', () => last(`${POLICIES}image-swapper`) !== '');
  // Kyverno 1.19 gives up an entry whose kind it cannot find.
  expect(writes()).not.toContain(`${ENTRIES}image-swapper`);
  expect(leader.reports).toEqual([]);
  cluster.applied.serve(TABLES);
  await until('the entry is written', () => last(`${ENTRIES}image-swapper`) !== '');
  expect(isInTable('first')).toBe(true);
  await until('the log says that it is over', () =>
    leader.log.some((line) => line.includes('match the configuration again')),
  );
}, 60_000);

it('writes the policy without an entry for a Kyverno that does not have the kind', async () => {
  cluster.applied.stopServing(ENTRIES);
  const leader = await lead();
  await until('the log says so', () =>
    leader.log.some((line) =>
      /GlobalContextEntry image-swapper: the cluster does not have kyverno\.io\/v2 GlobalContextEntry: policies\.table needs Kyverno 1\.18/.test(
        line,
      ),
    ),
  );
  await until('the policy is written', () => last(`${POLICIES}image-swapper`) !== '');
});

it('writes the table again and makes Kyverno read it when the kind was deleted and recreated', async () => {
  const leader = await lead();
  leader.images.present(jobOf('first'));
  await until('the image is in the table', () => isInTable('first'));
  await leader.images.untilApplied(AbortSignal.timeout(20_000));
  const entry = last(`${ENTRIES}image-swapper`);
  cluster.applied.stopServing(TABLES);
  cluster.applied.serve(TABLES);
  // A change makes the leader look at its objects before the 30 s are over.
  leader.images.present(jobOf('second'));
  await until('Kyverno is made to read it', () => last(`${ENTRIES}image-swapper`) !== entry);
  expect(cluster.applied.has(`${TABLES}image-swapper-0`)).toBe(true);
  expect(leader.log).toContain('ImageTable image-swapper-0: recreated, because somebody deleted it');
  expect(Object.keys(imagesOf())).toEqual(['docker.io/library/app:first', 'docker.io/library/app:second']);
}, 60_000);

it('continues with the previous table, but not under other names or with private images', async () => {
  const one = await lead();
  one.images.present(jobOf('first'));
  await until('the image is in the table', () => isInTable('first'));
  await one.stop();
  const other = await lead();
  await until('it has adopted the table', () => (other.reports.at(-1)?.adopted.length ?? 0) > 0);
  expect(imagesOf()).toHaveProperty('docker.io/library/app:first');
  await other.stop();
  const strict = await lead(configured('source: {accessCheck: pullSecrets}\n'));
  await until('the table is empty', () => Object.keys(imagesOf()).length === 0);
  await strict.stop();
}, 60_000);

it('empties an object of the previous table that it cannot use, so that it never counts again', async () => {
  const path = `${TABLES}image-swapper-3`;
  const one = await lead();
  await until('the policy is written', () => last(`${POLICIES}image-swapper`) !== '');
  await one.stop();
  const page = JSON.parse(last(`${TABLES}image-swapper-0`)) as { metadata: object; spec: object };
  const managedFields = [{ manager: 'image-swapper', operation: 'Apply' }];
  cluster.applied.put(path, {
    ...page,
    metadata: { ...page.metadata, name: 'image-swapper-3', uid: 'u', resourceVersion: '1', managedFields },
    spec: {
      ...page.spec,
      hash: 'another',
      images: { 'docker.io/library/old:1': 'mirror.test/docker.io/library/old:1' },
    },
  });
  await lead();
  await until('it is overwritten', () => last(path) !== '');
  expect(imagesOf(3)).toEqual({});
});

it('deletes the entry and the table when it is switched off, and keeps the policy', async () => {
  const leader = await lead();
  for (let index = 0; index < 501; index += 1) leader.images.present(jobOf(`tag-${index}`));
  await until('the second object is written', () => cluster.applied.has(`${TABLES}image-swapper-1`));
  await until('the policy is written', () => last(`${POLICIES}image-swapper`) !== '');
  expect(last(`${POLICIES}image-swapper`)).toContain('globalContext.Get');
  leader.set(configured('', false));
  await until('the table is deleted', () => !cluster.applied.has(`${TABLES}image-swapper-0`));
  expect(cluster.applied.has(`${TABLES}image-swapper-1`)).toBe(false);
  expect(cluster.applied.has(`${ENTRIES}image-swapper`)).toBe(false);
  expect(last(`${POLICIES}image-swapper`)).not.toContain('globalContext.Get');
});

it.each([
  [
    'the objects of the table, and keeps the policy that then calls',
    'kyverno, table: true',
    [`${POLICIES}image-swapper`],
  ],
  ['the policies that contain the table', 'mutatingadmissionpolicy', []],
] as const)('deletes %s when policies.manage is turned off', async (_, engine, kept) => {
  const literals = ['policies', 'policybindings'].flatMap((plural) =>
    ['image-swapper', 'image-swapper-recent'].map(
      (name) => `/apis/admissionregistration.k8s.io/v1/mutatingadmission${plural}/${name}`,
    ),
  );
  cluster.applied.serve('/apis/admissionregistration.k8s.io/v1/');
  const { config } = parse(`target: {oci: {registry: mirror.test}}\npolicies: {manage: true, engine: ${engine}}\n`);
  const leader = await lead(config);
  leader.images.present(jobOf('first'));
  await until('the image is in the table', () => leader.reports.at(-1)?.entries === 1);
  leader.set({ ...config, policies: { ...config.policies, manage: false, engine: 'webhook', table: false } });
  await until('the log says so', () =>
    leader.log.some((line) =>
      line.endsWith('removed, because policies.manage is off, and the table would become outdated'),
    ),
  );
  await leader.stop();
  const paths = [...literals, `${TABLES}image-swapper-0`, `${ENTRIES}image-swapper`, `${POLICIES}image-swapper`];
  expect(paths.filter((path) => cluster.applied.has(path))).toEqual(kept);
});

it('leaves the table of another install alone, and names its Lease', async () => {
  const one = await lead();
  await until('the policy is written', () => last(`${POLICIES}image-swapper`) !== '');
  await one.stop();
  const before = cluster.applied.writes.length;
  const other = await lead(configured('lease: {name: other}\n'));
  await until('the log names the Lease', () =>
    other.log.some((line) =>
      /ImageTable image-swapper-0: is managed by another install, with Lease image-swapper\/image-swapper/.test(line),
    ),
  );
  expect(writes(before).filter((path) => path.startsWith(TABLES))).toEqual([]);
});
