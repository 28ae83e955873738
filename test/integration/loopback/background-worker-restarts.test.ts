import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
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
