import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { FakeCluster } from '../fakes/cluster/fake-cluster.js';
import { realisticPod } from '../fakes/cluster/pods.js';
import { RunningService } from '../fakes/service.js';
import { EverythingRegistry } from './everything-registry.js';
import { processStats } from './process-stats.js';

export interface ClusterSize {
  /** Numbers of objects and images, as in the service's log. */
  readonly objects: number;
  readonly images: number;
  /** Seconds from the start of the process until every kind was listed, and until every image was looked up. */
  readonly listed: number;
  readonly looked: number;
  /** Memory in MiB: before the cluster was read, at the peak, and once the service was idle. */
  readonly before: number;
  readonly peak: number;
  readonly after: number;
  /** CPU seconds of the service until the end. */
  readonly cpu: number;
}

/** Milliseconds of idleness before memory is read. */
const IDLE_MS = 15_000;
const LISTED = /: (\d+) objects use (\d+) images/;

/** Measures the built service's first pass over this many Pods, whose images are all in the target, and its memory. */
export async function measureCluster(pods: number, patience = 240): Promise<ClusterSize> {
  const cluster = await FakeCluster.start();
  const target = new EverythingRegistry();
  const kubeconfig = join(tmpdir(), `image-swapper-size-${process.pid}.json`);
  try {
    const registry = await target.start();
    cluster.collection('/api/v1/pods').generate(pods, (index) => realisticPod(index, 'registry.example.com'));
    await writeFile(kubeconfig, cluster.kubeconfig());
    const started = performance.now();
    const seconds = (): number => (performance.now() - started) / 1_000;
    const service = await RunningService.start({
      config: stringify({ target: { type: 'oci', oci: { registry, insecure: true } } }),
      env: { KUBECONFIG: kubeconfig, POD_NAME: 'size' },
      plain: true,
    });
    const pid = service.process.pid ?? 0;
    try {
      const before = processStats(pid)?.rss ?? 0;
      const line = () => service.log.map(({ message }) => LISTED.exec(message)).find((match) => match !== null);
      while (line() === undefined && seconds() < patience) await sleep(100);
      const listed = seconds();
      const [, objects = '0', images = '0'] = line() ?? [];
      while (target.looked.size < Number(images) && seconds() < patience) await sleep(100);
      const looked = seconds();
      await sleep(IDLE_MS);
      const stats = processStats(pid);
      if (stats === undefined) throw new Error(`the service ended: ${JSON.stringify(service.log.slice(-5))}`);
      const { rss: after, peakRss: peak, cpu } = stats;
      return { objects: Number(objects), images: Number(images), listed, looked, before, peak, after, cpu };
    } finally {
      await service.stop('SIGKILL');
    }
  } finally {
    await cluster.close();
    await target.stop();
  }
}
