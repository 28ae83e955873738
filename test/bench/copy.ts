/**
 * Copies a 520 MB image of 3 platforms and 15 layers between two real local registries (distribution), compared with
 * `crane copy` and `skopeo copy --multi-arch all` in the same run: wall time, CPU, peak memory, requests at the target.
 * Then it copies through the running service, with small and with large layers, to measure the memory that a copy adds.
 * `npx tsx test/bench/copy.ts [rounds]`
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { buildImage } from '../fakes/images.js';
import { get, post } from '../fakes/https-client.js';
import { BUNDLE, RunningService } from '../fakes/service.js';
import { RealRegistry } from '../fakes/real-registry.js';
import { debianTool } from '../tools/debian.js';
import { craneProgram } from '../tools/crane.js';
import { processStats, resetPeak, watchProcess } from './process-stats.js';
import { pushImage } from './push-image.js';
import { median, printTable } from './table.js';

const PLATFORMS = ['linux/amd64', 'linux/arm64', 'linux/s390x'];
const LAYERS = 5;
const LAYER_SIZE = Math.round(520_000_000 / (PLATFORMS.length * LAYERS));

interface CopyFigures {
  readonly seconds: number;
  readonly cpu: number;
  readonly peakRss: number;
  readonly requests: number;
}

export async function run(rounds = 3): Promise<void> {
  build();
  const crane = await craneProgram();
  const skopeo = debianTool('skopeo');
  if (skopeo === undefined) throw new Error('the benchmark needs skopeo');
  const folder = await mkdtemp(join(tmpdir(), 'image-swapper-bench-'));
  const source = await RealRegistry.start();
  try {
    await pushImage(
      source.host,
      'bench/app',
      buildImage({ platforms: PLATFORMS, layersPerPlatform: LAYERS, layerSize: LAYER_SIZE }),
      '1.0',
    );
    const image = `${source.host}/bench/app:1.0`;
    const programs: Record<string, (target: string) => Promise<[string, ...string[]]>> = {
      'crane copy': async (target) => [crane, 'copy', '--insecure', image, `${target}/bench/app:1.0`],
      'skopeo copy --multi-arch all': async (target) => [
        skopeo,
        'copy',
        '--insecure-policy',
        '--src-tls-verify=false',
        '--dest-tls-verify=false',
        '--multi-arch',
        'all',
        `docker://${image}`,
        `docker://${target}/bench/app:1.0`,
      ],
      'image-swapper mirror': async (target) => {
        const config = join(folder, 'image-swapper.yaml');
        await writeFile(config, configuration(source.host, target));
        return [process.execPath, BUNDLE, 'mirror', '--config', config, image];
      },
    };
    const figures = new Map(Object.keys(programs).map((name) => [name, [] as CopyFigures[]]));
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, command] of Object.entries(programs)) {
        // A separate registry for each copy, so that nothing exists yet.
        const target = await RealRegistry.start();
        try {
          const [program, ...args] = await command(target.host);
          figures.get(name)?.push(await measure(program, args, target));
        } finally {
          await target.stop();
        }
      }
    }
    const of = (name: string, key: keyof CopyFigures): number =>
      median((figures.get(name) ?? []).map((figure) => figure[key]));
    console.log(
      `520 MB, ${PLATFORMS.length} platforms, ${PLATFORMS.length * LAYERS} layers; medians of ${rounds} rounds`,
    );
    printTable(
      ['', 'wall s', 'ratio', 'CPU s', 'peak MiB', 'requests'],
      [...figures.keys()].map((name) => [
        name,
        of(name, 'seconds'),
        of(name, 'seconds') / of('crane copy', 'seconds'),
        of(name, 'cpu'),
        of(name, 'peakRss'),
        of(name, 'requests'),
      ]),
    );

    console.log('\nmemory of the running service');
    const rows: (string | number)[][] = [];
    for (const [name, layers, size] of [
      ['15 layers of 35 MB', LAYERS, LAYER_SIZE],
      ['3 layers of 350 MB', 1, 350_000_000],
    ] as const) {
      const repository = `bench/memory-${layers}`;
      await pushImage(
        source.host,
        repository,
        buildImage({ platforms: PLATFORMS, layersPerPlatform: layers, layerSize: size, seed: 7 }),
        '1.0',
      );
      rows.push([name, ...(await serviceMemory(source, `${source.host}/${repository}:1.0`))]);
    }
    printTable(['', 'idle MiB', 'peak MiB', 'added MiB', 'seconds'], rows);
  } finally {
    await source.stop();
    await rm(folder, { recursive: true });
  }
}

async function measure(program: string, args: readonly string[], target: RealRegistry): Promise<CopyFigures> {
  const started = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const watched = watchProcess(child.pid ?? 0);
  const code = await new Promise<number | null>((resolve) => child.on('exit', resolve));
  const seconds = (performance.now() - started) / 1_000;
  const { cpu, peakRss } = watched.stop();
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: exit ${code}: ${errors}`);
  return { seconds, cpu, peakRss, requests: target.accessLog().length };
}

async function serviceMemory(source: RealRegistry, image: string): Promise<number[]> {
  const target = await RealRegistry.start();
  const service = await RunningService.start({ config: configuration(source.host, target.host) });
  try {
    const pid = service.process.pid ?? 0;
    const small = { kind: 'Pod', spec: { containers: [{ name: 'app', image: `${target.host}/x` }] } };
    for (let i = 0; i < 20; i += 1) await admit(service, small);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const idle = processStats(pid)?.rss ?? 0;
    await resetPeak(pid);
    const started = performance.now();
    await admit(service, { kind: 'Pod', spec: { containers: [{ name: 'app', image }] } });
    for (;;) {
      const { mirrors } = (await get(`${service.operations}/v1/mirrors`)).json() as { mirrors: { state: string }[] };
      if (mirrors.every(({ state }) => state === 'done')) break;
      if (mirrors.some(({ state }) => state === 'failed' || state === 'waiting'))
        throw new Error(JSON.stringify(mirrors));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const peak = processStats(pid)?.peakRss ?? 0;
    return [idle, peak, peak - idle, (performance.now() - started) / 1_000];
  } finally {
    await service.stop();
    await target.stop();
  }
}

async function admit(service: RunningService, pod: object): Promise<void> {
  const body = JSON.stringify({ request: { operation: 'CREATE', namespace: 'default', object: pod } });
  const { status, text } = await post(`${service.url}/v1/kyverno`, body, { ca: service.ca });
  if (status !== 200) throw new Error(text);
}

function configuration(source: string, target: string): string {
  return stringify({
    target: { type: 'oci', oci: { registry: target, insecure: true } },
    source: { registries: [{ type: 'oci', oci: { registry: source, insecure: true } }] },
  });
}

function build(): void {
  const cwd = fileURLToPath(new URL('../../extension-service/', import.meta.url));
  execFileSync(process.execPath, ['build.mjs'], { cwd, stdio: 'inherit' });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await run(...process.argv.slice(2).map(Number));
}
