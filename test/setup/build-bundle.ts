import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeCompileCache } from './compile-cache.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BUNDLE = join(ROOT, 'extension-service/dist/image-swapper.cjs');

/**
 * Builds the one-file service before the tests that run it as a process, as `npm run build` does, where it is older
 * than its sources. CI builds it once and sets a variable, because two test tiers that run in parallel must not
 * overwrite the bundle while the other one runs it.
 */
export default async function setup(): Promise<void> {
  if (process.env['IMAGE_SWAPPER_BUNDLE'] !== 'built' && changedAt(BUNDLE) <= lastChange()) build();
  await writeCompileCache(BUNDLE);
}

function build(): void {
  execFileSync(process.execPath, ['build.mjs'], {
    cwd: join(ROOT, 'extension-service'),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/**
 * Returns the latest modification time of the sources, the build and the libraries in milliseconds since the epoch. The
 * times of folders show deleted files.
 */
function lastChange(): number {
  const sources = join(ROOT, 'extension-service/src');
  const inside = readdirSync(sources, { recursive: true, encoding: 'utf8' }).map((path) => join(sources, path));
  const others = ['extension-service/build.mjs', 'package-lock.json', 'node_modules/.package-lock.json'];
  return Math.max(...[...inside, ...others.map((path) => join(ROOT, path))].map(changedAt));
}

/** Returns 0 if the file does not exist. */
function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
