import { writeFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { ClusterSide } from '../../../extension-service/src/background/cluster-side.js';
import { garbageOf } from '../../../extension-service/src/background/garbage.js';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
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
    garbageTimes: { first: 0, interval: 100 },
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
  for (const tag of tags) {
    await until(`${tag} is in the table`, () => {
      side.copied({ job: jobOf(config, tag), result: { ok: true, upToDate: true, digest } });
      return isInTable(tag);
    });
  }
}

it("removes an image from the API server's table five seconds before it is deleted", async () => {
  const now = Math.floor(Date.now() / 1_000);
  const [unused, used] = [buildImage({ seed: 1 }), buildImage({ seed: 2 })];
  loadImage(target, APP, unused, 'left-tag');
  loadImage(target, APP, used, 'used-tag');
  const pods = cluster.collection('/api/v1/pods');
  pods.put(smallPod('web', 'docker.io/library/app:used-tag', 'team-a'));
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
    await until('the report', () => leader.log.some((line) => line.includes('deleted 1 images from target default')));
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
  const failed = (job: MirrorJob, host?: string): void =>
    leader.side.copied({
      job,
      result: {
        ok: false,
        failure: { reason: 'unreachable', message: 'no answer', retryable: true, ...(host && { host }) },
      },
    });
  const first = jobOf(leader.config, 'first-tag');
  try {
    await fillTable(leader, ['first-tag'], digest);
    // The target gives no answer, or it is unknown which registry gives none, or the source of a mirrored image gives none.
    failed(first, target.host);
    failed(first);
    failed({ ...first, force: true }, 'docker.io');
    // The next write contains all changes so far.
    await fillTable(leader, ['second-tag'], digest);
    expect(isInTable('first-tag')).toBe(true);
    // Only an image that the target lacks is requested from its source.
    failed(first, 'docker.io');
    await until('the image left the table', () => !isInTable('first-tag'));
    await fillTable(leader, ['third-tag'], digest);
  } finally {
    await leader.stop();
  }
  expect([isInTable('second-tag'), isInTable('third-tag')]).toEqual([true, true]);
  for (const name of ['image-swapper', 'image-swapper-recent']) {
    expect(cluster.applied.has(`${POLICIES}mutatingadmissionpolicies/${name}`)).toBe(true);
    expect(cluster.applied.has(`${POLICIES}mutatingadmissionpolicybindings/${name}`)).toBe(true);
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
