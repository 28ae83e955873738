import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder, makeOnce, run } from '../tools/tool.js';
import { root } from '../tools/docs.js';

/** The last commit before the work on version 0.2, which represents the previous release. */
const COMMIT = 'c92d657f84748af1113595bfc1072c21c16b7983';

export interface PreviousVersion {
  /** The folder of the chart. */
  readonly chart: string;
  /** The built program. */
  readonly bundle: string;
}

/** Builds that commit in a separate folder, with the packages of its own package-lock.json. */
export async function versionBefore(): Promise<PreviousVersion> {
  const folder = join(cacheFolder('version-before', COMMIT), 'checkout');
  await makeOnce(folder, async () => {
    const unfinished = `${folder}.${process.pid}`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true });
    try {
      await run('git', ['-C', root, 'archive', '--output', join(unfinished, 'checkout.tar'), COMMIT]);
      await run('tar', ['-xf', 'checkout.tar'], unfinished);
      await run('npm', ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'], unfinished);
      await run(process.execPath, ['build.mjs'], join(unfinished, 'extension-service'));
      await rename(unfinished, folder);
    } catch (error) {
      throw new Error(`cannot build the version before (commit ${COMMIT.slice(0, 7)}); is it in this clone?`, {
        cause: error,
      });
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
  });
  const service = join(folder, 'extension-service');
  return { chart: join(service, 'chart'), bundle: join(service, 'dist', 'image-swapper.cjs') };
}
