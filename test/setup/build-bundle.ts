import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * Builds the one-file service before the tests that run it as a process, as `npm run build` does. CI builds it once and
 * says so, since two tiers that run side by side must not write it under each other's processes.
 */
export default function setup(): void {
  if (process.env['IMAGE_SWAPPER_BUNDLE'] === 'built') return;
  const root = fileURLToPath(new URL('../../', import.meta.url));
  execFileSync(process.execPath, ['build.mjs'], {
    cwd: `${root}extension-service`,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
