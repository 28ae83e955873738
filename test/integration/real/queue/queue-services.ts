import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { FakeCluster } from '../../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../../fakes/cluster/pods.js';
import { buildImage, loadImage } from '../../../fakes/images.js';
import type { ImageOptions } from '../../../fakes/images.js';
import { FakeRegistry } from '../../../fakes/registry.js';
import { RunningService } from '../../../fakes/service.js';
import { until } from '../../../fakes/until.js';
import { metric } from '../../loopback/world.js';

/** Built services with a queue server, in one cluster, between two registries. */
export class QueueServices {
  readonly services: RunningService[] = [];

  private constructor(
    readonly cluster: FakeCluster,
    readonly source: FakeRegistry,
    readonly target: FakeRegistry,
    readonly folder: string,
  ) {}

  static async start(): Promise<QueueServices> {
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-services-'));
    const cluster = await FakeCluster.start();
    await writeFile(join(folder, 'kubeconfig'), cluster.kubeconfig());
    return new QueueServices(cluster, await FakeRegistry.start(), await FakeRegistry.start(), folder);
  }

  async close(): Promise<void> {
    await Promise.all(this.services.map((service) => service.stop('SIGKILL')));
    await Promise.all([this.cluster, this.source, this.target].map((one) => one.close()));
    await rm(this.folder, { recursive: true, force: true });
  }

  /** @param name of the replica */
  async serve(name: string, queue: object, env: Readonly<Record<string, string>> = {}): Promise<RunningService> {
    const config = stringify({
      target: { type: 'oci', oci: { registry: this.target.host, insecure: true } },
      source: { registries: [{ type: 'oci', oci: { registry: this.source.host, insecure: true } }] },
      queue,
    });
    const kubeconfig = { KUBECONFIG: join(this.folder, 'kubeconfig'), POD_NAME: name };
    const service = await RunningService.start({ config, plain: true, env: { ...kubeconfig, ...env } });
    this.services.push(service);
    return service;
  }

  /** Waits until every service knows of all. */
  allConnected(): Promise<void> {
    return until('all are connected', async () => {
      const counts = this.services.map((service) => metric(service, 'image_swapper_queue_server_replicas'));
      return (await Promise.all(counts)).every((count) => count === this.services.length);
    });
  }

  /** The image with tag 1 at the source. */
  imageOf(name: string): string {
    return `${this.source.host}/${name}:1`;
  }

  load(name: string, shape: ImageOptions = {}): void {
    loadImage(this.source, name, buildImage(shape), '1');
  }

  addPod(name: string, namespace = 'team-a'): void {
    this.cluster.collection('/api/v1/pods').put(smallPod(name, this.imageOf(name), namespace));
  }

  /** The repository in the target. */
  path(name: string): string {
    return `${this.source.host.replace(':', '_')}/${name}`;
  }

  isMirrored(name: string): boolean {
    return this.target.manifest(this.path(name), '1') !== undefined;
  }

  /** The number of requests that finished a blob or manifest in the target, by path. */
  finished(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { method, path: at, query, status } of this.target.accessLog) {
      const isManifest = at.includes('/manifests/');
      const digest = /digest=([^&]+)/.exec(query)?.[1];
      if (method !== 'PUT' || status >= 300 || (!isManifest && digest === undefined)) continue;
      const what = isManifest ? at : `${at.slice(0, at.indexOf('/blobs/'))} ${digest ?? ''}`;
      counts.set(what, (counts.get(what) ?? 0) + 1);
    }
    return counts;
  }

  /** Everything that was sent to the target more than once. */
  sentTwice(): readonly string[] {
    return [...this.finished()].filter(([, times]) => times > 1).map(([what]) => what);
  }
}
