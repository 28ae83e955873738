/**
 * Measures the leader of a large cluster with the API server's table: its writes, and its memory compared with another
 * build or with this build and the engine webhook. A fake API server has 1,000 namespaces, and the target has every
 * image. It takes about 25 minutes on two busy cores. `npx tsx test/bench/table-size.ts [OTHER/dist/image-swapper.cjs] [rounds]
 * [Pods] [images]`
 */
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { AppliedWrite } from '../fakes/cluster/applied-objects.js';
import type { FakeObject } from '../fakes/cluster/collection.js';
import { FakeCluster } from '../fakes/cluster/fake-cluster.js';
import { realisticPod, smallPod } from '../fakes/cluster/pods.js';
import { BUNDLE, RunningService } from '../fakes/service.js';
import { until } from '../fakes/until.js';
import { EverythingRegistry } from './everything-registry.js';
import { processStats } from './process-stats.js';
import { median, printTable } from './table.js';

const NAMESPACES = 1_000;
const COLLECT_GARBAGE = fileURLToPath(new URL('./collect-garbage.cjs', import.meta.url));
/** Milliseconds without a write or a lookup after which the leader is considered idle. */
const IDLE_MS = 15_000;
/** New images of the stream, one every 500 ms. */
const STREAM = { images: 240, pauseMs: 500 };
const HANG_S = 1_800;
const POLICIES = '/apis/admissionregistration.k8s.io/v1/';

interface Size {
  /** Memory in MiB: at the peak, once every image was looked up, after the stream, and then without garbage. */
  readonly peak: number;
  readonly after: number;
  readonly streamed: number;
  readonly live: number;
  readonly cpu: number;
  readonly entries: number;
  /** Writes of all objects, the maximum within a minute, and the characters of the largest write. */
  readonly filling: Writes;
  readonly streaming: Writes;
}

const COLUMNS = ['peak', 'after', 'streamed', 'live', 'cpu'] as const;

interface Writes {
  readonly count: number;
  readonly maxPerMinute: number;
  readonly largest: number;
}

interface Cluster {
  readonly pods: number;
  readonly images: number;
}

export async function run(other?: string, rounds = 2, pods = 100_000, images = 20_000): Promise<void> {
  const sides = {
    table: { bundle: BUNDLE, policies: { engine: 'mutatingadmissionpolicy', manage: true } },
    peer: { bundle: other ?? BUNDLE, policies: { engine: 'webhook' } },
  };
  const seen: Record<keyof typeof sides, Size[]> = { table: [], peer: [] };
  for (let round = 0; round < rounds; round += 1)
    for (const side of ['table', 'peer'] as const) {
      const size = await measure(sides[side].bundle, sides[side].policies, { pods, images });
      console.log(`${side}: ${JSON.stringify(size)}`);
      seen[side].push(size);
    }
  const middle = (side: keyof typeof sides, key: (typeof COLUMNS)[number]): number =>
    median(seen[side].map((size) => size[key]));
  printTable(
    ['MiB', 'peak', 'after', 'after the stream', 'without garbage', 'CPU s'],
    [
      ...(['table', 'peer'] as const).map((side) => [side, ...COLUMNS.map((key) => middle(side, key))]),
      ['table above peer', ...COLUMNS.map((key) => middle('table', key) - middle('peer', key))],
    ],
  );
}

async function measure(bundle: string, policies: object, size: Cluster): Promise<Size> {
  const cluster = await FakeCluster.start();
  cluster.applied.serve(POLICIES);
  const target = new EverythingRegistry();
  const kubeconfig = join(tmpdir(), `image-swapper-table-${process.pid}.json`);
  const collected = join(tmpdir(), `image-swapper-table-${process.pid}.collect`);
  try {
    const registry = await target.start();
    const pods = cluster.collection('/api/v1/pods');
    pods.generate(size.pods, (index) => podOf(index, size.images));
    await writeFile(kubeconfig, cluster.kubeconfig());
    const service = await RunningService.start({
      config: stringify({
        target: { type: 'oci', oci: { registry, insecure: true } },
        // The source does not exist: a lookup of its name would take most of the time.
        mirror: { referrers: false },
        // With pull secrets, the service would read Secrets in each of 1,000 namespaces.
        secretReader: { enabled: false },
        policies,
      }),
      env: {
        ...{ KUBECONFIG: kubeconfig, POD_NAME: 'size' },
        ...{ NODE_OPTIONS: `--require=${COLLECT_GARBAGE}`, COLLECT_GARBAGE_FILE: collected },
      },
      plain: true,
      bundle,
    });
    const stats = () => {
      const now = processStats(service.process.pid ?? 0);
      if (now === undefined) throw new Error(`the service ended: ${JSON.stringify(service.log.slice(-5))}`);
      return now;
    };
    const quiet = async (): Promise<void> => {
      let [seen, since] = ['', performance.now()];
      await until(
        'the leader is quiet',
        () => {
          const state = `${target.looked.size} ${cluster.applied.writes.length}`;
          if (state !== seen) [seen, since] = [state, performance.now()];
          return performance.now() - since > IDLE_MS;
        },
        HANG_S,
      );
    };
    try {
      await until('every image is looked for', () => target.looked.size >= size.images, HANG_S);
      await quiet();
      const { rss: after, peakRss: peak } = stats();
      const filling = writesOf(cluster.applied.writes);
      const before = cluster.applied.writes.length;
      for (let index = 0; index < STREAM.images; index += 1) {
        pods.put(smallPod(`stream-${index}`, `registry.example.com/stream/service-${index % 7}:2.${index}`));
        await sleep(STREAM.pauseMs);
      }
      await quiet();
      const streaming = writesOf(cluster.applied.writes.slice(before));
      const { rss: streamed, cpu } = stats();
      await writeFile(collected, '');
      await sleep(IDLE_MS);
      const { rss: live } = stats();
      return { peak, after, streamed, live, cpu, entries: entriesIn(cluster), filling, streaming };
    } finally {
      await service.stop('SIGKILL');
    }
  } finally {
    await cluster.close();
    await target.stop();
    await Promise.all([rm(kubeconfig, { force: true }), rm(collected, { force: true })]);
  }
}

function podOf(index: number, images: number): FakeObject {
  const pod = realisticPod(index, 'registry.example.com');
  const number = index % images;
  const image = `registry.example.com/team-${number % 97}/service-${number % 1_999}:1.${number}.0`;
  const { containers, ...spec } = pod['spec'] as { readonly containers: readonly object[] };
  return {
    ...pod,
    metadata: { ...pod.metadata, namespace: `team-${index % NAMESPACES}-production` },
    spec: { ...spec, containers: containers.map((container) => ({ ...container, image })) },
  };
}

function writesOf(writes: readonly AppliedWrite[]): Writes {
  const within = writes.map(({ time }) => writes.filter((one) => one.time >= time && one.time < time + 60_000).length);
  return {
    count: writes.length,
    maxPerMinute: Math.max(0, ...within),
    largest: Math.max(0, ...writes.map(({ text }) => text.length)),
  };
}

/** Returns the number of tags in the tables that were applied last. */
function entriesIn({ applied }: FakeCluster): number {
  let count = 0;
  for (const name of ['image-swapper', 'image-swapper-recent']) {
    const last = applied.writes.findLast(({ path }) => path === `${POLICIES}mutatingadmissionpolicies/${name}`);
    const { spec } = JSON.parse(last?.text ?? '{}') as { readonly spec?: { readonly variables: readonly Variable[] } };
    for (const { name: variable, expression } of spec?.variables ?? [])
      if (/^(table|renamedTable)\d+_\d+$/.test(variable)) count += [...expression.matchAll(/[ "][12]\.\d+/g)].length;
  }
  return count;
}

interface Variable {
  readonly name: string;
  readonly expression: string;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [other, ...numbers] = process.argv.slice(2);
  await run(other, ...numbers.map(Number));
}
