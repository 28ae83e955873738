import { writeFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { ClusterSide } from '../../../extension-service/src/background/cluster-side.js';
import { garbageOf } from '../../../extension-service/src/background/garbage.js';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { sourceHost, targetHost } from '../../../extension-service/src/core/decide/mirror-job.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { connectCluster } from '../../../extension-service/src/kubernetes/api.js';
import { MirroredImages } from '../../../extension-service/src/kubernetes/image-table/mirrored-images.js';
import { ConfigFeed } from '../../../extension-service/src/kubernetes/live-config.js';
import { ManagedPolicies } from '../../../extension-service/src/kubernetes/managed-policies/managed-policies.js';
import { PolicyObjects } from '../../../extension-service/src/kubernetes/managed-policies/policy-objects.js';
import { Sources } from '../../../extension-service/src/kubernetes/workloads/sources.js';
import { usesOf } from '../../../extension-service/src/kubernetes/workloads/uses.js';
import { Registries } from '../../../extension-service/src/targets/registries.js';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { AccessLogEntry } from '../../fakes/registry.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { until } from '../../fakes/until.js';
import { putUsageRecord } from '../../fakes/usage-record.js';
import { parse } from '../../unit/config/parsing.js';

const DAY_SECONDS = 86_400;
const APP = 'mirror/docker.io/library/app';
const POLICIES = '/apis/admissionregistration.k8s.io/v1/';
const kubeconfig = join(tmpdir(), `image-swapper-gc-table-${process.pid}.json`);
let cluster: FakeCluster;
let target: FakeRegistry;

beforeEach(async () => {
  [cluster, target] = [await FakeCluster.start(), await FakeRegistry.start()];
  for (const plural of ['mutatingadmissionpolicies', 'mutatingadmissionpolicybindings'])
    cluster.applied.serve(`${POLICIES}${plural}/`);
  await writeFile(kubeconfig, cluster.kubeconfig());
});
afterEach(async () => {
  await Promise.all([cluster.close(), target.close(), rm(kubeconfig)]);
});

const written = (name: string): string =>
  cluster.applied.writes.findLast(({ path }) => path === `${POLICIES}mutatingadmissionpolicies/${name}`)?.text ?? '';
const isInTable = (tag: string): boolean =>
  ['image-swapper', 'image-swapper-recent'].some((name) => written(name).includes(tag));
const configured = (gc: object, prefix = 'mirror'): Config =>
  parse(
    stringify({
      target: { type: 'oci', oci: { registry: target.host, prefix, insecure: true } },
      policies: { manage: true, engine: 'mutatingadmissionpolicy' },
      gc,
    }),
  ).config;

/** The cluster connection of a leader. */
function startSide(config: Config) {
  const log: string[] = [];
  const registries = new Registries(config, {
    env: {},
    readSecret: () => Promise.reject(new Error('no Secret')),
    cloud: () => undefined,
    report: () => undefined,
  });
  const side = new ClusterSide(config, {
    env: { KUBECONFIG: kubeconfig, POD_NAME: 'one' },
    log: (_level, message) => log.push(message),
    garbage: garbageOf(() => registries),
    checkAccess: () => Promise.resolve({ state: 'unknown', message: 'no source is needed' }),
    // The pause before a deletion is the service's real one.
    garbageTimes: { first: 0, interval: 500 },
    emit: () => undefined,
  });
  side.start();
  const stop = async (): Promise<void> => {
    await side.stop();
    registries.close();
  };
  return { side, config, log, stop };
}

function jobOf(config: Config, tag: string): MirrorJob {
  const pod = { spec: { containers: [{ name: 'a', image: `app:${tag}` }] } };
  const [job] = usesOf(compileRules(config, namingTarget), new Sources(), pod, 'team-a').jobs;
  if (job === undefined) throw new Error('no job');
  return job;
}

/** Waits until the leader's table has the tags, as after their copies. */
async function fillTable({ side, config }: ReturnType<typeof startSide>, tags: readonly string[], digest: string) {
  await until(`${tags.join(' and ')} are in the table`, () => {
    const missing = tags.filter((tag) => !isInTable(tag));
    for (const tag of missing) side.copied({ job: jobOf(config, tag), result: { ok: true, upToDate: true, digest } });
    return missing.length === 0;
  });
}

it("removes an image from the API server's table five seconds before it is deleted", async () => {
  const now = Math.floor(Date.now() / 1_000);
  const [unused, used] = [buildImage({ seed: 1 }), buildImage({ seed: 2 })];
  loadImage(target, APP, unused, 'left-tag');
  loadImage(target, APP, used, 'used-tag');
  const pods = cluster.collection('/api/v1/pods');
  pods.put(smallPod('web', 'docker.io/library/app:used-tag', 'team-a'));
  pods.put(smallPod('new', 'docker.io/library/app:new-tag', 'team-a'));
  const last = smallPod('old', 'docker.io/library/app:left-tag', 'team-a');
  pods.put(last);
  const before = startSide(configured({}));
  await fillTable(before, ['left-tag', 'used-tag'], unused.digest);
  await before.stop();
  pods.remove(last.metadata.uid);

  // According to the usage records, the last use is long ago.
  const uses = new Map([[`${APP}:left-tag`, now - 40 * DAY_SECONDS]]);
  putUsageRecord(target, 'east', { now, uses, more: { writers: {} } });
  const leader = startSide(configured({ enabled: true, cluster: 'east', clusters: ['east', 'west'] }));
  const deletions = (): readonly AccessLogEntry[] =>
    target.accessLog.filter(({ method, path }) => method === 'DELETE' && path.includes(`/${APP}/`));
  try {
    await until('gc waits for west', () => leader.log.some((line) => line.includes('cluster west has no record')));
    expect(isInTable('left-tag')).toBe(true);
    expect(deletions()).toEqual([]);
    putUsageRecord(target, 'west', { now, uses: new Map([['mirror/docker.io/library/other:1', now]]) });
    await until('the image left the table', () => !isInTable('left-tag'));
    // Before the deletion, a new Pod needs the image, and a lookup still finds it.
    pods.put(last);
    await until('the leader sees the Pod', () => leader.side.shows(jobOf(leader.config, 'left-tag')) === true);
    const found = { ok: true, upToDate: true, digest: unused.digest } as const;
    leader.side.copied({ job: jobOf(leader.config, 'left-tag'), result: found });
    await until('the report', () => leader.log.some((line) => line.includes('deleted 1 images from target default')));
    await fillTable(leader, ['new-tag'], used.digest);
    expect(isInTable('left-tag')).toBe(false);
  } finally {
    await leader.stop();
  }
  expect(
    deletions()
      .map(({ path }) => path.split('/').at(-1))
      .sort(),
  ).toEqual(unused.manifests.map(({ digest }) => digest).sort());
  const { writes } = cluster.applied;
  const lastWithIt = writes.findLastIndex(({ text }) => text.includes('left-tag'));
  const withdrawal = writes.slice(lastWithIt + 1).find(({ path }) => path.includes('/mutatingadmissionpolicies/'));
  // The pause begins after the response to that write, so a slow machine does not shorten it. Clocks may differ by a
  // millisecond or two.
  expect((deletions()[0]?.time ?? 0) - (withdrawal?.time ?? Infinity)).toBeGreaterThanOrEqual(4_990);
  expect(isInTable('used-tag')).toBe(true);
});

it('keeps images in the table while a registry gives no answer, and after the leader has stopped', async () => {
  const pods = cluster.collection('/api/v1/pods');
  const digest = `sha256:${'a'.repeat(64)}`;
  for (const tag of ['first-tag', 'second-tag', 'third-tag'])
    pods.put(smallPod(tag, `docker.io/library/app:${tag}`, 'team-a'));
  const leader = startSide(configured({}));
  const failed = (job: MirrorJob, host?: string, reason: 'unreachable' | 'gated' = 'unreachable'): void =>
    leader.side.copied({
      job,
      result: { ok: false, failure: { reason, message: 'no answer', retryable: true, ...(host && { host }) } },
    });
  const first = jobOf(leader.config, 'first-tag');
  try {
    await fillTable(leader, ['first-tag'], digest);
    // The target gives no answer, or it is unknown which registry gives none, or the source of a mirrored image gives none.
    failed(first, target.host);
    failed(first);
    failed({ ...first, force: true }, 'docker.io');
    failed({ ...first, presenceCheck: 'tree' }, undefined, 'gated');
    // The next write contains all changes so far.
    await fillTable(leader, ['second-tag', 'third-tag'], digest);
    expect(isInTable('first-tag')).toBe(true);
    // Only about an image that the target lacks, the source is asked, or the target's gate.
    failed(first, 'docker.io');
    failed(jobOf(leader.config, 'second-tag'), undefined, 'gated');
    await until('both images left the table', () => !isInTable('first-tag') && !isInTable('second-tag'));
  } finally {
    await leader.stop();
  }
  expect(isInTable('third-tag')).toBe(true);
  for (const name of ['image-swapper', 'image-swapper-recent']) {
    expect(cluster.applied.has(`${POLICIES}mutatingadmissionpolicies/${name}`)).toBe(true);
    expect(cluster.applied.has(`${POLICIES}mutatingadmissionpolicybindings/${name}`)).toBe(true);
  }
});

it('keeps used images in the table while their registry gives no answer for more than an hour', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  for (const tag of ['used-tag', 'unchecked-tag', 'new-tag'])
    cluster.collection('/api/v1/pods').put(smallPod(tag, `docker.io/library/app:${tag}`, 'team-a'));
  const leader = startSide(configured({}));
  const { now } = Date;
  try {
    await fillTable(leader, ['used-tag', 'unchecked-tag'], digest);
    vi.spyOn(Date, 'now').mockImplementation(() => now() + 2 * 3_600_000);
    leader.side.copied({
      job: jobOf(leader.config, 'used-tag'),
      result: {
        ok: false,
        failure: { reason: 'unreachable', message: 'no answer', retryable: true, host: target.host },
      },
    });
    await fillTable(leader, ['new-tag'], digest);
    // The same pass removes it from another object.
    await until('the image without any answer left the table', () => !isInTable('unchecked-tag'));
    expect(isInTable('used-tag')).toBe(true);
  } finally {
    vi.restoreAllMocks();
    await leader.stop();
  }
});

it('removes an image that an audit cannot repair from its source, and keeps one whose target gives no answer', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const tags = ['damaged-tag', 'slow-tag', 'whole-tag'];
  for (const tag of tags)
    cluster.collection('/api/v1/pods').put(smallPod(tag, `docker.io/library/app:${tag}`, 'team-a'));
  const leader = startSide(configured({}));
  const audited = (tag: string, hostOf: (job: MirrorJob) => string): void => {
    const job: MirrorJob = { ...jobOf(leader.config, tag), presenceCheck: 'tree', allReferrers: true };
    const failure = { reason: 'absent', message: 'a layer is missing', retryable: false, host: hostOf(job) } as const;
    leader.side.copied({ job, result: { ok: false, failure } });
  };
  try {
    await fillTable(leader, tags, digest);
    audited('slow-tag', targetHost);
    audited('damaged-tag', sourceHost);
    await until('the damaged image left the table', () => !isInTable('damaged-tag'));
    expect(tags.filter(isInTable)).toEqual(['slow-tag', 'whole-tag']);
  } finally {
    await leader.stop();
  }
});

it('does not bring back an image that another leader removed, when a replica leads again', async () => {
  const config = configured({});
  const access = await connectCluster({ KUBECONFIG: kubeconfig });
  if (access === undefined) throw new Error('no cluster');
  const objects = await PolicyObjects.connect(access);
  const log = (): void => undefined;
  const replica = () => {
    const images = new MirroredImages({ log });
    const caBundle = () => Promise.resolve(undefined);
    const task = new ManagedPolicies({
      objects,
      config: new ConfigFeed(config),
      namespace: 'a',
      caBundle,
      images,
      log,
    });
    /** Leads until the images have been changed and this is true of the cluster. */
    const lead = async (what: string, change: () => void, isDone: () => boolean): Promise<void> => {
      const term = new AbortController();
      const ended = task.lead(term.signal);
      change();
      await until(what, isDone);
      term.abort();
      await ended;
    };
    return { images, lead };
  };
  const [one, other] = [replica(), replica()];
  await one.lead(
    'the image is in the table',
    () => one.images.present(jobOf(config, 'left-tag')),
    () => isInTable('left-tag'),
  );
  await other.lead(
    'the image left the table',
    () => other.images.missing(jobOf(config, 'left-tag')),
    () => !isInTable('left-tag'),
  );
  await one.lead(
    'the table has a new image',
    () => one.images.present(jobOf(config, 'new-tag')),
    () => isInTable('new-tag'),
  );
  expect(isInTable('left-tag')).toBe(false);
});

it('remembers no images for policies without a table', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  cluster.collection('/api/v1/pods').put(smallPod('web', 'docker.io/library/app:used-tag', 'team-a'));
  const leader = startSide(configured({}));
  try {
    await fillTable(leader, ['used-tag'], digest);
    const { images } = leader.side as unknown as { readonly images: { readonly known: ReadonlyMap<string, unknown> } };
    expect(images.known.size).toBe(1);
    leader.side.configure({ ...leader.config, policies: { ...leader.config.policies, engine: 'webhook' } });
    expect(images.known.size).toBe(0);
    await until('the Pods are listed again', () => leader.side.shows(jobOf(leader.config, 'used-tag')) !== undefined);
    for (let tries = 0; tries < 3; tries += 1)
      leader.side.copied({ job: jobOf(leader.config, 'used-tag'), result: { ok: true, upToDate: true, digest } });
    expect(images.known.size).toBe(0);
  } finally {
    await leader.stop();
  }
});

it('continues with the table of the previous leader under other filters, but not under other names', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  cluster.collection('/api/v1/pods').put(smallPod('web', 'docker.io/library/app:kept-tag', 'team-a'));
  const fill = async (): Promise<void> => {
    const leader = startSide(configured({}));
    await fillTable(leader, ['kept-tag'], digest);
    await leader.stop();
  };
  await fill();
  /** Returns whether the first tables that another leader writes have the image. */
  const isAdopted = async (config: Config): Promise<boolean> => {
    const { writes } = cluster.applied;
    const count = writes.length;
    const policies = () =>
      writes.slice(count).filter(({ path }) => path.startsWith(`${POLICIES}mutatingadmissionpolicies/`));
    const leader = startSide(config);
    await until('both policies are written', () => new Set(policies().map(({ path }) => path)).size === 2);
    await leader.stop();
    return policies().some(({ text }) => text.includes('kept-tag'));
  };
  const { source } = configured({});
  const filters = [{ jmespath: "obj.metadata.namespace == 'team-b'" }];
  expect(await isAdopted({ ...configured({}), source: { ...source, filters } })).toBe(true);
  expect(await isAdopted({ ...configured({}), source: { ...source, accessCheck: 'pullSecrets' } })).toBe(false);
  await fill();
  expect(await isAdopted(configured({}, 'other'))).toBe(false);
});
