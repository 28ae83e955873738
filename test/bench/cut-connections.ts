/**
 * Measures `mirror` of an image with a layer of 1 GiB from a source that cuts every answer after a random 32 to 128
 * MiB, and to a target that cuts every request in the same way (with `oci.uploadChunk`). Bytes read and received are
 * ratios of the layer's size: both must be ≤ 1.05. With another build, that build also runs each row; a build from
 * before `oci.uploadChunk` runs without it. `npx tsx test/bench/cut-connections.ts [OTHER/dist/image-swapper.cjs] [MiB
 * of the layer] [MiB of a chunk]`
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { buildImage, loadImage } from '../fakes/images.js';
import { FakeRegistry, type FaultRule } from '../fakes/registry.js';
import { BUNDLE } from '../fakes/service.js';
import { printTable } from './table.js';

const MEBIBYTE = 1024 * 1024;
const MAX_RATIO = 1.05;

export async function run(other: string | undefined, layer = 1024, chunk = 16): Promise<void> {
  const cwd = fileURLToPath(new URL('../../extension-service/', import.meta.url));
  execFileSync(process.execPath, ['build.mjs'], { cwd, stdio: 'inherit' });
  const after = (): number => Math.round((layer / 1024) * (32 + 96 * Math.random()) * MEBIBYTE);
  const source: FaultRule = { method: 'GET', path: /\/blobs\/sha/, action: () => ({ type: 'reset', after: after() }) };
  const target: FaultRule = { path: '/blobs/uploads/', action: () => ({ type: 'cut-body', after: after() }) };
  const rows = [
    await copy('the source cuts each answer', BUNDLE, layer, { source }),
    ...(other === undefined ? [] : [await copy('the same, the other build', other, layer, { source })]),
  ];
  for (const size of [chunk, layer / 4]) {
    const cuts = { target, uploadChunk: size * MEBIBYTE };
    rows.push(await copy(`the target cuts each request, chunks of ${size} MiB`, BUNDLE, layer, cuts));
  }
  if (other !== undefined) rows.push(await copy('the same, the other build, no chunks', other, layer, { target }));
  const columns = ['read', 'taken', 'GETs of blobs', 'requests at the target', 'wall s', 'outcome'];
  printTable(
    [`layer of ${layer} MiB`, ...columns],
    rows.map(({ cells }) => cells),
  );
  const worst = Math.max(...rows.filter(({ isOurs }) => isOurs).map(({ most }) => most));
  if (worst > MAX_RATIO) throw new Error(`${worst.toFixed(3)} × the layer's size, more than ${MAX_RATIO}`);
}

interface Cuts {
  readonly source?: FaultRule;
  readonly target?: FaultRule;
  readonly uploadChunk?: number;
}

interface Row {
  readonly cells: readonly (string | number)[];
  readonly isOurs: boolean;
  /** The greater of both ratios; infinite when the copy failed. */
  readonly most: number;
}

async function copy(name: string, program: string, layer: number, cuts: Cuts): Promise<Row> {
  const size = layer * MEBIBYTE;
  const source = await FakeRegistry.start();
  const target = await FakeRegistry.start({ keepBlobs: false });
  const folder = await mkdtemp(join(tmpdir(), 'image-swapper-bench-'));
  if (cuts.source !== undefined) source.fault(cuts.source);
  if (cuts.target !== undefined) target.fault(cuts.target);
  const { uploadChunk } = cuts;
  const registry = ({ host }: FakeRegistry): object => ({ registry: host, insecure: true });
  try {
    const image = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: size });
    loadImage(source, 'bench/app', image, '1');
    const config = join(folder, 'image-swapper.yaml');
    const oci = { ...registry(target), ...(uploadChunk !== undefined && { uploadChunk }) };
    const sources = [{ type: 'oci', oci: registry(source) }];
    await writeFile(config, stringify({ target: { type: 'oci', oci }, source: { registries: sources } }));
    const started = performance.now();
    const child = spawn(process.execPath, [program, 'mirror', '--config', config, `${source.host}/bench/app:1`], {
      env: { HOME: folder },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    const seconds = (performance.now() - started) / 1_000;
    const gets = source.accessLog.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'));
    const read = gets.reduce((sum, { bytesOut }) => sum + bytesOut, 0) / size;
    const taken = target.accessLog.reduce((sum, { bytesIn }) => sum + bytesIn, 0) / size;
    const outcome = code === 0 ? 'mirrored' : 'failed';
    if (code !== 0) console.log(`${name}: ${text.trim()}`);
    return {
      cells: [name, read, taken, String(gets.length), String(target.accessLog.length), seconds, outcome],
      isOurs: program === BUNDLE,
      most: code === 0 ? Math.max(read, taken) : Number.POSITIVE_INFINITY,
    };
  } finally {
    await Promise.all([source.close(), target.close(), rm(folder, { recursive: true })]);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [first, ...rest] = process.argv.slice(2);
  const isOther = first !== undefined && Number.isNaN(Number(first));
  const numbers = (isOther || first === undefined ? rest : [first, ...rest]).map(Number);
  await run(isOther ? first : undefined, ...numbers);
}
