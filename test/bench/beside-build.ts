/**
 * Compares this build with another one, in pairs in one run: a copy of 20 images of 2 platforms that share layers, and
 * admissions over kept connections with images and image volumes. Prints medians of the pairs' ratios; above 1 means
 * that this build is better. `npx tsx test/bench/beside-build.ts OTHER/dist/image-swapper.cjs [pairs]`
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { buildImage } from '../fakes/images.js';
import { RealRegistry } from '../fakes/real-registry.js';
import { BUNDLE, RunningService } from '../fakes/service.js';
import { load } from './load.js';
import { benchPod } from './pod.js';
import { watchProcess } from './process-stats.js';
import { pushImage } from './push-image.js';
import { median, printTable } from './table.js';

const IMAGES = 20;
const SECONDS = 2;
const FILTERS = ["obj.metadata.namespace == 'kube-system'", "contains(container.image, '.dkr.ecr.')"];

interface Pair {
  readonly ours: number;
  readonly theirs: number;
}

export async function run(other: string, pairs = 10): Promise<void> {
  const cwd = fileURLToPath(new URL('../../extension-service/', import.meta.url));
  execFileSync(process.execPath, ['build.mjs'], { cwd, stdio: 'inherit' });
  const rows = [...(await copies(other, pairs)), ...(await admissions(other, pairs))];
  printTable(
    ['', 'ours', 'other', 'ratio'],
    rows.map(([name, list, isMoreBetter]) => [
      name,
      median(list.map(({ ours }) => ours)),
      median(list.map(({ theirs }) => theirs)),
      median(list.map(({ ours, theirs }) => (isMoreBetter ? ours / theirs : theirs / ours))),
    ]),
  );
  console.log(`(medians of ${pairs} pairs in turns; a ratio above 1 is better than the other build)`);
}

type Row = readonly [name: string, pairs: readonly Pair[], isMoreBetter: boolean];

async function copies(other: string, pairs: number): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'image-swapper-bench-'));
  const source = await RealRegistry.start();
  try {
    const names: string[] = [];
    for (let i = 0; i < IMAGES; i += 1) {
      const platforms = ['linux/amd64', 'linux/arm64'];
      const image = buildImage({ platforms, layersPerPlatform: 5, sharedLayers: 3, layerSize: 400_000, seed: i });
      await pushImage(source.host, `bench/app-${i}`, image, '1.0');
      names.push(`${source.host}/bench/app-${i}:1.0`);
    }
    const list = join(folder, 'images.txt');
    await writeFile(list, names.join('\n'));
    const figures = { seconds: [] as Pair[], cpu: [] as Pair[], requests: [] as Pair[] };
    for (let pair = 0; pair < pairs; pair += 1) {
      const [ours, theirs] = await inTurns(pair, [BUNDLE, other], (bundle) => copy(bundle, source, list, folder));
      for (const key of ['seconds', 'cpu', 'requests'] as const)
        figures[key].push({ ours: ours[key], theirs: theirs[key] });
    }
    return [
      ['copy: seconds', figures.seconds, false],
      ['copy: CPU seconds', figures.cpu, false],
      ['copy: requests at the target', figures.requests, false],
    ];
  } finally {
    await source.stop();
    await rm(folder, { recursive: true });
  }
}

async function copy(
  bundle: string,
  source: RealRegistry,
  list: string,
  folder: string,
): Promise<{ readonly seconds: number; readonly cpu: number; readonly requests: number }> {
  const target = await RealRegistry.start();
  try {
    const config = join(folder, 'image-swapper.yaml');
    await writeFile(config, configuration(source.host, target.host));
    const started = performance.now();
    const child = spawn(process.execPath, [bundle, 'mirror', '--config', config, '--file', list], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    const watched = watchProcess(child.pid ?? 0);
    const code = await new Promise<number | null>((resolve) => child.on('exit', resolve));
    const seconds = (performance.now() - started) / 1_000;
    const { cpu } = watched.stop();
    if (code !== 0) throw new Error(`${bundle}: exit ${code}: ${errors}`);
    return { seconds, cpu, requests: target.accessLog().length };
  } finally {
    await target.stop();
  }
}

async function admissions(other: string, pairs: number): Promise<Row[]> {
  const target = await RealRegistry.start();
  const small = buildImage({ seed: 1 });
  for (let i = 0; i < 4; i += 1) await pushImage(target.host, `docker.io/library/app-${i}`, small, '1.0');
  const config = stringify({
    target: { type: 'oci', oci: { registry: target.host, insecure: true } },
    source: { filters: FILTERS.map((jmespath) => ({ jmespath })) },
  });
  const services = [await RunningService.start({ config }), await RunningService.start({ config, bundle: other })];
  try {
    const pod = { ...benchPod((n) => `app-${n}:1.0`) } as { spec: { volumes?: object[] } };
    const model = { name: 'model', image: { reference: 'app-0:1.0', pullPolicy: 'IfNotPresent' } };
    const withVolumes = { ...pod, spec: { ...pod.spec, volumes: [...(pod.spec.volumes ?? []), model] } };
    const rows: Row[] = [];
    for (const [name, object] of [
      ['admission', pod],
      ['admission with an image volume', withVolumes],
    ] as const) {
      const body = JSON.stringify({ request: { uid: 'u', operation: 'CREATE', namespace: 'team-a', object } });
      const measure = (service: RunningService, seconds: number): ReturnType<typeof load> =>
        load({ url: `${service.url}/v1/kyverno`, ca: service.ca, body, clients: 4, seconds });
      for (const service of services) await measure(service, SECONDS);
      const perSecond: Pair[] = [];
      const p99: Pair[] = [];
      for (let pair = 0; pair < pairs; pair += 1) {
        const [ours, theirs] = await inTurns(pair, services, (service) => measure(service, SECONDS));
        perSecond.push({ ours: ours.perSecond, theirs: theirs.perSecond });
        p99.push({ ours: ours.p99, theirs: theirs.p99 });
      }
      rows.push([`${name}: requests/s`, perSecond, true], [`${name}: p99 ms`, p99, false]);
    }
    return rows;
  } finally {
    for (const service of services) await service.stop();
    await target.stop();
  }
}

/** Measures both builds. They alternate in the order of measurement. */
async function inTurns<T, R>(pair: number, both: readonly T[], measure: (one: T) => Promise<R>): Promise<[R, R]> {
  const [ours, theirs] = both as [T, T];
  if (pair % 2 === 0) return [await measure(ours), await measure(theirs)];
  const second = await measure(theirs);
  return [await measure(ours), second];
}

function configuration(source: string, target: string): string {
  return stringify({
    target: { type: 'oci', oci: { registry: target, insecure: true } },
    source: { registries: [{ type: 'oci', oci: { registry: source, insecure: true } }] },
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [other, pairs] = process.argv.slice(2);
  if (other === undefined) throw new Error('give the bundle of another build: OTHER/dist/image-swapper.cjs [pairs]');
  await run(other, Number(pairs ?? 10));
}
