import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder of `@image-swapper/cdk8s`. */
export const CDK8S = fileURLToPath(new URL('../../cdk8s/', import.meta.url));

/** Packs `@image-swapper/cdk8s` as for publication. @returns the name of the package file in the folder */
export function packCdk8s(folder: string): string {
  execFileSync(process.execPath, ['build.mjs'], { cwd: CDK8S });
  execFileSync('npm', ['pack', '--pack-destination', folder], { cwd: CDK8S, stdio: ['ignore', 'ignore', 'ignore'] });
  const packed = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  if (packed === undefined) throw new Error(`npm pack wrote nothing into ${folder}`);
  return packed;
}
