import { build } from 'esbuild';

/**
 * One file that runs by itself under `node`; CommonJS, since some dependencies still call require. It carries two
 * programs as text, so that nothing is parsed before it is needed and each thread holds only what it runs: the copy
 * thread's, and the Kubernetes client (two thirds of everything). See docs/decisions/copy-thread.md.
 */
const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  legalComments: 'none',
  logLevel: 'warning',
  // Half the text to parse at every start; names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
};

/** Gives a module of the sources other contents. */
function replace(path, contents) {
  return {
    name: `replace ${path}`,
    setup(builder) {
      const filter = new RegExp(`src[\\\\/]${path.replace('/', '[\\\\/]')}$`);
      builder.onLoad({ filter }, () => ({ contents, loader: 'js' }));
    },
  };
}

async function programText(entryPoint, plugins = []) {
  const { outputFiles } = await build({ ...common, entryPoints: [entryPoint], plugins, write: false });
  return outputFiles[0].text;
}

const textModule = (name, text) => `export const ${name} = ${JSON.stringify(text)};`;

/** Compiles the client's text when it is first imported. */
const lazyClient = replace(
  'kubernetes/client.ts',
  `import { runInThisContext } from 'node:vm';
   import { CLIENT_PROGRAM } from './client-program.js';
   const loaded = { exports: {} };
   const wrapped = '(function (exports, require, module) {' + CLIENT_PROGRAM + '\\n})';
   runInThisContext(wrapped, { filename: 'kubernetes-client.cjs' })(loaded.exports, require, loaded);
   export const { CoreV1Api, KubeConfig } = loaded.exports;`,
);

const clientProgram = await programText('src/kubernetes/client.ts');
const copyThreadProgram = await programText('src/mirror/copy-thread-entry.ts', [
  lazyClient,
  // Three megabytes that most threads never need come from the main thread.
  replace(
    'kubernetes/client-program.ts',
    `import { workerData } from 'node:worker_threads'; export const CLIENT_PROGRAM = workerData.clientProgram;`,
  ),
]);

await build({
  ...common,
  entryPoints: ['src/cli/main.ts'],
  outfile: 'dist/image-swapper.cjs',
  banner: { js: '#!/usr/bin/env node' },
  plugins: [
    lazyClient,
    replace('kubernetes/client-program.ts', textModule('CLIENT_PROGRAM', clientProgram)),
    replace('mirror/copy-thread-program.ts', textModule('COPY_THREAD_PROGRAM', copyThreadProgram)),
  ],
});
