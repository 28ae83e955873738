import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Builds the one-file service before the tests that run it as a process, as `npm run build` does. */
export default function setup(): void {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  execFileSync(process.execPath, ['build.mjs'], {
    cwd: `${root}extension-service`,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
