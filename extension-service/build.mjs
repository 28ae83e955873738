import { build } from 'esbuild';

/** One file that runs by itself under `node`; CommonJS, since some dependencies still call require. */
await build({
  entryPoints: ['src/cli/main.ts'],
  outfile: 'dist/image-swapper.cjs',
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  banner: { js: '#!/usr/bin/env node' },
  sourcemap: false,
  legalComments: 'none',
  // Half the text to parse at every start, also of the copy thread; names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  logLevel: 'warning',
});
