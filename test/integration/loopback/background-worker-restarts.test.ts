import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { build } from 'esbuild';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { planImage } from '../../../extension-service/src/cli/mirror-rows.js';
import type { CopyOutcome } from '../../../extension-service/src/mirror/copier.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { BackgroundWorker } from '../../../extension-service/src/background/worker.js';
import { createLogger } from '../../../extension-service/src/telemetry/log.js';
import { configOf } from '../../unit/decide/rules-of.js';
import { until } from '../../fakes/until.js';

let folder: string;
let starts: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  starts = join(folder, 'starts');
});
afterEach(() => rm(folder, { recursive: true }));

/** A worker that records its start and exits. */
const dyingProgram = (): string =>
  `require('node:fs').appendFileSync(${JSON.stringify(starts)}, 'x'); process.exit(1);`;
const count = async (): Promise<number> => (await readFile(starts, 'utf8').catch(() => '')).length;

describe('a background worker that ends right after its start', () => {
  it('is restarted and reported after growing pauses, and not earlier because of a request', async () => {
    const log = createLogger({ level: 'error', format: 'json' });
    let restarts = 0;
    const copier = new BackgroundWorker(
      configOf(),
      log,
      { onRestart: () => (restarts += 1) },
      { program: dyingProgram(), restart: 200 },
    );
    const asked = new Set<string>();
    const begin = performance.now();
    copier.warm();
    await until('the fourth end', async () => {
      await copier.readSecret('x', undefined).catch((error: Error) => asked.add(error.message.replace(/\d+/g, 'N')));
      return restarts >= 4;
    });
    // A caller cuts the first pause short. The pauses of 0.4 and 0.8 s are complete.
    expect(performance.now() - begin).toBeGreaterThan(1_150);
    await until('the restarts are counted', async () => restarts === (await count()));
    await copier.stop();
    expect(asked).toContain('Secret x: the background worker ended N times in a row; restarting it in N s');
  });
});

/** The program of the built worker, without the clients of clouds, clusters and queues. */
async function builtProgram(): Promise<string> {
  const clients = /(?:kubernetes\/client|x509|gate\/sigstore|shared-queue\/bullmq|kinds\/[^/]+\/sdk)\.ts$/;
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('../../../extension-service/src/background/entry.ts', import.meta.url))],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    logLevel: 'error',
    plugins: [
      {
        name: 'without-clients',
        setup: (plugin) =>
          plugin.onLoad({ filter: clients }, () => ({ contents: 'module.exports = {};', loader: 'js' })),
      },
    ],
  });
  return outputFiles[0]?.text ?? '';
}

describe('a background worker that replaces another', () => {
  it('mounts the blobs that the other one sent', async () => {
    const [source, target] = await Promise.all([FakeRegistry.start(), FakeRegistry.start()]);
    const layers = buildImage({ platforms: ['linux/amd64'], layerSize: 50_000 });
    for (const name of ['app-1', 'app-2']) loadImage(source, name, layers, '1');
    const plain = ({ host }: FakeRegistry) =>
      ({ type: 'oci', oci: { registry: host, prefix: '', insecure: true } }) as const;
    const defaults = configOf();
    const config = configOf({
      target: { name: 'default', ...plain(target) },
      source: { ...defaults.source, registries: [plain(source)] },
      reconcile: { ...defaults.reconcile, enabled: false },
    });
    let restarts = 0;
    const worker = new BackgroundWorker(
      config,
      createLogger({ level: 'error', format: 'json' }),
      { onRestart: () => (restarts += 1) },
      { program: await builtProgram(), restart: 1 },
    );
    const rules = compileRules(config, namingTarget);
    const copy = (name: string): Promise<CopyOutcome> => {
      const planned = planImage(rules, `${source.host}/${name}:1`);
      if (!('job' in planned)) throw new Error('no copy is planned');
      return worker.copy(planned.job, new AbortController().signal, () => undefined);
    };
    const uploads = (): string[] => target.requests().filter((request) => /^(?:PUT|PATCH) .*\/blobs\//.test(request));
    try {
      worker.warm();
      await copy('app-1');
      const sent = uploads();
      // Only an error of the worker would end it, so the test reaches into the handle.
      const known = (): boolean =>
        (Reflect.get(worker, 'knownBlobs') as Map<string, unknown>).size >= layers.blobs.length;
      await until('the main thread knows the blobs', known);
      await (Reflect.get(worker, 'worker') as Worker).terminate();
      await until('the worker has ended', () => restarts === 1);
      await copy('app-2');
      expect(uploads()).toEqual(sent);
      expect(target.manifest(`${source.host.replace(':', '_')}/app-2`, '1')?.digest).toBe(layers.digest);
    } finally {
      await worker.stop();
      await Promise.all([source.close(), target.close()]);
    }
  });
});
