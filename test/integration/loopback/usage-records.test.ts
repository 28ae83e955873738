import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { metric } from './world.js';

const USAGE = 'mirror/image-swapper-usage';
let target: FakeRegistry;
let clusters: FakeCluster[];
let services: RunningService[];

beforeEach(async () => {
  [clusters, services] = [[], []];
  target = await FakeRegistry.start();
});
afterEach(async () => {
  await Promise.all(services.map((service) => service.stop('SIGKILL')));
  await Promise.all([...clusters.map((cluster) => cluster.close()), target.close()]);
});

/** Starts the service with the name `east` in another cluster whose Pods use these images of the target. */
async function install(images: Readonly<Record<string, string>>): Promise<RunningService> {
  const cluster = await FakeCluster.start();
  clusters.push(cluster);
  for (const [name, namespace] of Object.entries(images)) {
    const image = `${target.host}/mirror/docker.io/library/${name}:1`;
    cluster.collection('/api/v1/pods').put(smallPod(name, image, namespace));
  }
  const kubeconfig = join(tmpdir(), `image-swapper-usage-${process.pid}-${clusters.length}.json`);
  await writeFile(kubeconfig, cluster.kubeconfig());
  const config = stringify({
    target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
    gc: { cluster: 'east' },
  });
  const env = { KUBECONFIG: kubeconfig, POD_NAME: 'usage' };
  const service = await RunningService.start({ config, env, plain: true });
  services.push(service);
  return service;
}

interface StoredRecord {
  readonly cluster: string;
  readonly writers: Readonly<Record<string, number>>;
  readonly uses: Readonly<Record<string, number>>;
}

function recorded(): StoredRecord | undefined {
  const stored = target.manifest(USAGE, 'east');
  if (stored === undefined) return undefined;
  const manifest = JSON.parse(stored.bytes.toString()) as { layers: { digest: string }[] };
  const content = target.blob(manifest.layers[0]?.digest ?? '', USAGE);
  return JSON.parse(Buffer.concat([...(content?.chunks(0, content.size) ?? [])]).toString()) as StoredRecord;
}

const writers = (service: RunningService): Promise<number> => metric(service, 'image_swapper_usage_record_writers');

describe('a service with gc.cluster', () => {
  it('records the images that its cluster uses, including namespaces that no policy covers', async () => {
    await install({ app: 'team-a', system: 'kube-system' });
    await until('the record', () => recorded() !== undefined);
    const record = recorded();
    expect(record?.cluster).toBe('east');
    expect(Object.keys(record?.uses ?? {}).sort()).toEqual([
      'mirror/docker.io/library/app:1',
      'mirror/docker.io/library/system:1',
    ]);
    expect(Object.keys(record?.writers ?? {})).toHaveLength(1);
  });

  it('finds another cluster with its name, shows it, loses no use of either, and gc then deletes nothing', async () => {
    const first = await install({ app: 'team-a' });
    await until('the first record', () => recorded() !== undefined);
    await until('the metric of one', async () => (await writers(first)) === 1);
    const second = await install({ other: 'team-a' });
    await until('both write', () => Object.keys(recorded()?.writers ?? {}).length === 2);
    await until('the metric', async () => (await writers(second)) === 2);
    const lines = second.log.filter(({ level }) => level === 'warn').map(({ message }) => message);
    expect(lines.join('\n')).toContain('2 installations write the record of cluster east, so gc deletes nothing');
    expect(Object.keys(recorded()?.uses ?? {}).sort()).toEqual([
      'mirror/docker.io/library/app:1',
      'mirror/docker.io/library/other:1',
    ]);
  });
});
