/** The cluster and the registries of queue.ts, in a separate process. */
import { FakeCluster } from '../fakes/cluster/fake-cluster.js';
import { smallPod } from '../fakes/cluster/pods.js';
import { buildImage, loadImage } from '../fakes/images.js';
import { FakeRegistry } from '../fakes/registry.js';

export type QueueWorldRequest =
  | { readonly type: 'start'; readonly images: number; readonly layerSize: number; readonly bytesPerSecond?: number }
  /** Creates a Pod for each image and tag. */
  | { readonly type: 'use'; readonly tags: readonly string[] }
  | { readonly type: 'count' };

export interface QueueWorldStarted {
  readonly kubeconfig: string;
  readonly source: string;
  readonly target: string;
}

export interface QueueWorldCounts {
  /** Tags that are in the target. */
  readonly mirrored: number;
  /** Manifests that were put successfully more than once. */
  readonly duplicateManifests: number;
  /** Blobs that were completed more than once in a repository. */
  readonly duplicateBlobs: number;
  /** Manifests and blobs that were put more than once, with the times in milliseconds since the epoch. */
  readonly twice: readonly { readonly what: string; readonly times: readonly number[] }[];
}

const NAMESPACES = 20;
let images = 0;
let tags: readonly string[] = [];
let world: { cluster: FakeCluster; source: FakeRegistry; target: FakeRegistry } | undefined;

process.on('message', (request: QueueWorldRequest) => void answer(request));

async function answer(request: QueueWorldRequest): Promise<void> {
  if (request.type === 'start') process.send?.(await start(request));
  else if (request.type === 'use') process.send?.(requestImages(request.tags));
  else process.send?.(count());
}

async function start(request: Extract<QueueWorldRequest, { type: 'start' }>): Promise<QueueWorldStarted> {
  ({ images } = request);
  const { layerSize, bytesPerSecond } = request;
  const cluster = await FakeCluster.start();
  const source = await FakeRegistry.start();
  const target = await FakeRegistry.start({ keepBlobs: false });
  for (let seed = 0; seed < images; seed += 1) {
    const image = buildImage({ seed, platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize });
    for (const tag of ['1', '2']) loadImage(source, `app-${seed}`, image, tag);
  }
  if (bytesPerSecond !== undefined) {
    source.fault({ method: 'GET', path: '/blobs/', action: { type: 'slow', bytesPerSecond } });
  }
  world = { cluster, source, target };
  return { kubeconfig: cluster.kubeconfig(), source: source.host, target: target.host };
}

function requestImages(used: readonly string[]): boolean {
  tags = used;
  const pods = world?.cluster.collection('/api/v1/pods');
  for (let index = 0; index < images; index += 1) {
    for (const tag of tags) {
      const name = `app-${index}`;
      pods?.put(smallPod(`${name}-${tag}`, `${world?.source.host ?? ''}/${name}:${tag}`, `team-${index % NAMESPACES}`));
    }
  }
  return true;
}

function count(): QueueWorldCounts {
  const finished = new Map<string, number[]>();
  for (const { method, path, query, status, time } of world?.target.accessLog ?? []) {
    if (method !== 'PUT' || status >= 300) continue;
    const digest = /digest=([^&]+)/.exec(query)?.[1];
    const isManifest = path.includes('/manifests/');
    if (!isManifest && digest === undefined) continue;
    const what = isManifest ? path : `blob ${path.slice(0, path.indexOf('/blobs/'))} ${digest ?? ''}`;
    finished.set(what, [...(finished.get(what) ?? []), time]);
  }
  const twice = [...finished].flatMap(([what, times]) => (times.length > 1 ? [{ what, times }] : []));
  const prefix = (world?.source.host ?? '').replace(':', '_');
  let mirrored = 0;
  for (let index = 0; index < images; index += 1) {
    for (const tag of tags) if (world?.target.manifest(`${prefix}/app-${index}`, tag) !== undefined) mirrored += 1;
  }
  return {
    mirrored,
    duplicateManifests: twice.filter(({ what }) => !what.startsWith('blob ')).length,
    duplicateBlobs: twice.filter(({ what }) => what.startsWith('blob ')).length,
    twice,
  };
}
