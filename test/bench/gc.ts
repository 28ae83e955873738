/**
 * `gc` over 20,000 images of three clusters: measures requests for each image in the registry's log, and time and
 * memory of the built program. One image in nineteen is used by one cluster; the benchmark fails when one of these is
 * gone or an unused one is left. `npx tsx test/bench/gc.ts [images] [number of one shape, from 0]`
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { stringify } from 'yaml';
import { buildImage, buildReferrer } from '../fakes/images.js';
import type { BuiltImage } from '../fakes/images.js';
import { FakeRegistry } from '../fakes/registry.js';
import { BUNDLE } from '../fakes/service.js';
import { putUsageRecord } from '../fakes/usage-record.js';
import { watchProcess } from './process-stats.js';
import { printTable } from './table.js';

const IMAGES = Number(process.argv[2] ?? 20_000);
const SELECTED_CASE = process.argv[3];
const CLUSTERS = ['one', 'two', 'three'];
/** This number has no common divisor with the number of repositories, so that most repositories have a used image. */
const USED_EVERY_NTH = 19;
const DAY_SECONDS = 86_400;

interface Shape {
  readonly name: string;
  readonly repositories: number;
  readonly platforms: readonly string[];
  readonly isSigned?: boolean;
  /** Whether the registry deletes the platforms of a deleted index. */
  readonly deletesPlatforms?: boolean;
}

const SHAPES: readonly Shape[] = [
  { name: 'one platform, 1,000 repositories', repositories: 1_000, platforms: ['linux/amd64'] },
  {
    name: 'index of two platforms, 1,000 repositories',
    repositories: 1_000,
    platforms: ['linux/amd64', 'linux/arm64'],
  },
  { name: 'one platform and a signature, one repository', repositories: 1, platforms: ['linux/amd64'], isSigned: true },
  {
    name: 'index of two platforms, 1,000 repositories, in a registry that deletes platforms itself',
    repositories: 1_000,
    platforms: ['linux/amd64', 'linux/arm64'],
    deletesPlatforms: true,
  },
];

async function measure(shape: Shape): Promise<(string | number)[]> {
  const registry = await FakeRegistry.start({ deletesPlatforms: shape.deletesPlatforms ?? false });
  const folder = await mkdtemp(join(tmpdir(), 'image-swapper-gc-'));
  try {
    const { used, unused, manifests, usedManifests } = fill(registry, shape);
    const config = join(folder, 'gc.yaml');
    const target = { type: 'oci', oci: { registry: registry.host, prefix: 'mirror', insecure: true } };
    await writeFile(config, stringify({ target, gc: { after: '720h', clusters: CLUSTERS } }));
    const started = performance.now();
    const child = spawn(process.execPath, [BUNDLE, 'gc', '--config', config, '-o', 'json'], {
      env: { PATH: process.env['PATH'] ?? '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const watch = watchProcess(child.pid ?? 0);
    const output = text(child.stdout);
    const [code] = (await once(child, 'exit')) as [number | null];
    const seconds = (performance.now() - started) / 1_000;
    const { peakRss } = watch.stop();
    await output;
    if (code !== 0) throw new Error(`gc ended with ${code}`);
    const lost = used.filter(([repository, tag]) => registry.manifest(repository, tag) === undefined);
    const left = unused.filter(([repository, tag]) => registry.manifest(repository, tag) !== undefined);
    if (lost.length > 0 || left.length > 0) throw new Error(`${lost.length} used are gone, ${left.length} unused left`);
    const stored = registry.repositories().reduce((sum, repository) => sum + registry.digests(repository).length, 0);
    if (stored !== usedManifests + CLUSTERS.length) throw new Error(`${stored} manifests are left`);
    const requests = registry.accessLog.length;
    return [shape.name, requests, requests / IMAGES, requests / manifests, seconds, peakRss];
  } finally {
    await registry.close();
    await rm(folder, { recursive: true, force: true });
  }
}

type Place = readonly [repository: string, tag: string];

interface Content {
  readonly used: readonly Place[];
  readonly unused: readonly Place[];
  readonly manifests: number;
  /** Manifests of used images. */
  readonly usedManifests: number;
}

/** Usage records: no cluster has used the images for 40 days, except those that one cluster used an hour ago. */
function fill(registry: FakeRegistry, { repositories, platforms, isSigned = false }: Shape): Content {
  const [used, unused]: [Place[], Place[]] = [[], []];
  const uses = new Map(CLUSTERS.map((cluster) => [cluster, new Map<string, number>()]));
  const now = Math.floor(Date.now() / 1_000);
  let [manifests, usedManifests] = [0, 0];
  for (let index = 0; index < IMAGES; index++) {
    const repository = `mirror/docker.io/library/app-${index % repositories}`;
    const tag = `v${index}`;
    const image = buildImage({ platforms, layersPerPlatform: 1, layerSize: 16, seed: index });
    const isUsed = index % USED_EVERY_NTH === 0;
    const count = put(registry, repository, tag, image, isSigned);
    manifests += count;
    if (isUsed) usedManifests += count;
    (isUsed ? used : unused).push([repository, tag]);
    const last = isUsed ? now - 3_600 : now - 40 * DAY_SECONDS;
    uses.get(CLUSTERS[index % CLUSTERS.length] ?? '')?.set(`${repository}:${tag}`, last);
  }
  for (const [cluster, own] of uses) putUsageRecord(registry, cluster, { now, uses: own });
  return { used, unused, manifests, usedManifests };
}

/** @returns the number of manifests */
function put(registry: FakeRegistry, repository: string, tag: string, image: BuiltImage, isSigned: boolean): number {
  // An image with one platform does not have an index.
  const kept = image.platforms.size === 1 ? image.manifests.slice(0, 1) : image.manifests;
  for (const { digest, mediaType, bytes } of kept) registry.putManifest(repository, digest, mediaType, bytes);
  const top = kept.at(-1);
  if (top === undefined) throw new Error('no image');
  registry.putManifest(repository, tag, top.mediaType, top.bytes);
  if (!isSigned) return kept.length;
  const { manifest } = buildReferrer(top, 'application/x', 'signature');
  registry.putManifest(repository, `${top.digest.replace(':', '-')}.sig`, manifest.mediaType, manifest.bytes);
  return kept.length + 1;
}

const rows: (string | number)[][] = [];
for (const shape of SELECTED_CASE === undefined
  ? SHAPES
  : SHAPES.slice(Number(SELECTED_CASE), Number(SELECTED_CASE) + 1)) {
  const row = await measure(shape);
  console.error(...row);
  rows.push(row);
}
printTable([`${IMAGES} images`, 'requests', 'per image', 'per manifest', 's', 'peak MiB'], rows);
