import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { rmSync } from 'node:fs';
import { build } from 'esbuild';

// tsc does not write output again that it believes to exist.
rmSync('dist', { recursive: true, force: true });
rmSync('.types', { recursive: true, force: true });

/** The file contains the renderers, so the package only needs cdk8s and constructs, which the app provides. */
await build({
  entryPoints: ['src/index.ts'],
  outfile: 'dist/index.js',
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  external: ['cdk8s', 'constructs'],
  legalComments: 'none',
  logLevel: 'warning',
});
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '--build', '.'], { stdio: 'inherit' });
