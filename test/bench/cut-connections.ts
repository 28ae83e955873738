/**
 * A layer of 1 GiB from a source that cuts every answer after a random 32 to 128 MiB, and into a target that cuts every
 * request likewise (with `oci.uploadChunk`): bytes read and taken as a ratio of the layer's size. Both must be ≤ 1.05.
 * `npx tsx test/bench/cut-connections.ts [MiB of the layer] [MiB of a chunk]`
 */
import { fileURLToPath } from 'node:url';
import { copyImage } from '../../extension-service/src/registry/copy.js';
import { RegistryFactory } from '../../extension-service/src/registry/factory.js';
import { buildImage, loadImage } from '../fakes/images.js';
import { FakeRegistry, type FaultRule } from '../fakes/registry.js';
import { printTable } from './table.js';

const MEBIBYTE = 1024 * 1024;
const MOST = 1.05;

export async function run(layer = 1024, chunk = 16): Promise<void> {
  const random = (): number => Math.round((layer / 1024) * (32 + 96 * Math.random()) * MEBIBYTE);
  const rows = [
    await copy('source cuts each answer', layer, {
      source: { method: 'GET', path: /\/blobs\/sha/, action: () => ({ type: 'reset', after: random() }) },
    }),
    await copy(`target cuts each request, chunks of ${chunk} MiB`, layer, {
      target: { method: 'PATCH', action: () => ({ type: 'cut-body', after: random() }) },
      uploadChunk: chunk * MEBIBYTE,
    }),
    await copy(`target cuts each request, chunks of ${layer / 4} MiB`, layer, {
      target: { method: 'PATCH', action: () => ({ type: 'cut-body', after: random() }) },
      uploadChunk: (layer / 4) * MEBIBYTE,
    }),
  ];
  printTable([`layer of ${layer} MiB`, 'read', 'taken', 'GETs', 'requests at the target', 'wall s'], rows);
  const worst = Math.max(...rows.flatMap(([, read, taken]) => [Number(read), Number(taken)]));
  if (worst > MOST) throw new Error(`${worst.toFixed(3)} × the layer's size, more than ${MOST}`);
}

interface Cuts {
  readonly source?: FaultRule;
  readonly target?: FaultRule;
  readonly uploadChunk?: number;
}

async function copy(name: string, layer: number, cuts: Cuts): Promise<(string | number)[]> {
  const size = layer * MEBIBYTE;
  const source = await FakeRegistry.start();
  const target = await FakeRegistry.start({ keepBlobs: false });
  if (cuts.source !== undefined) source.fault(cuts.source);
  if (cuts.target !== undefined) target.fault(cuts.target);
  const { uploadChunk } = cuts;
  const chunked = uploadChunk === undefined ? {} : { uploadChunk };
  const factory = new RegistryFactory({
    endpoints: [source, target].map(({ host }) => ({ host, insecure: true, ...chunked })),
    hosts: { allow: [], deny: [] },
    env: {},
  });
  try {
    loadImage(
      source,
      'bench/app',
      buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: size }),
      '1',
    );
    const keychain = { resolve: async () => [] };
    const started = performance.now();
    await copyImage({
      source: { client: factory.client(source.host, keychain), reference: { repository: 'bench/app', tag: '1' } },
      target: { client: factory.client(target.host, keychain), reference: { repository: 'bench/app', published: '1' } },
    });
    const seconds = (performance.now() - started) / 1_000;
    const gets = source.accessLog.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'));
    const read = gets.reduce((sum, { bytesOut }) => sum + bytesOut, 0);
    const taken = target.accessLog.reduce((sum, { bytesIn }) => sum + bytesIn, 0);
    return [name, read / size, taken / size, gets.length, target.accessLog.length, seconds];
  } finally {
    factory.close();
    await Promise.all([source.close(), target.close()]);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await run(...process.argv.slice(2).map(Number));
