import { build } from 'esbuild';

/** One file that runs by itself under `node`; CommonJS, since some dependencies still call require. */
const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  legalComments: 'none',
  logLevel: 'warning',
  // Half the text to parse at every start, also of the copy thread; names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
};

/**
 * Keeps the Kubernetes client (two thirds of the program) as text that is compiled when a cluster is first asked: parsing
 * it cost every start of the program and of the copy thread 80 ms and 20 MB.
 */
const lazyKubernetesClient = {
  name: 'lazy-kubernetes-client',
  setup(builder) {
    builder.onLoad({ filter: /src[\\/]kubernetes[\\/]client\.ts$/ }, async ({ path }) => {
      const { outputFiles } = await build({ ...common, entryPoints: [path], write: false });
      const wrapped = `(function (exports, require, module) {${outputFiles[0].text}\n})`;
      const contents = `
        import { runInThisContext } from 'node:vm';
        const loaded = { exports: {} };
        runInThisContext(${JSON.stringify(wrapped)}, { filename: 'kubernetes-client.cjs' })(loaded.exports, require, loaded);
        export const { CoreV1Api, KubeConfig } = loaded.exports;
      `;
      return { contents, loader: 'js' };
    });
  },
};

await build({
  ...common,
  entryPoints: ['src/cli/main.ts'],
  outfile: 'dist/image-swapper.cjs',
  banner: { js: '#!/usr/bin/env node' },
  plugins: [lazyKubernetesClient],
});
