import { existsSync, readdirSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import { build } from 'esbuild';

/**
 * One file that runs by itself under `node`; CommonJS, since some dependencies still call require. It carries programs
 * packed, so that nothing is parsed before it is needed and each thread holds only what it runs: the background
 * worker's, and the clients of clusters and clouds (nine tenths of everything). See docs/decisions/0004-background-worker.md.
 */
const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
  // Half the text to parse at every start; names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
};

const UNFINISHED = 'dist/image-swapper.unfinished.cjs';

/** Every file that is in the bundle, as esbuild knows them: what the SBOM is made of. */
const inputs = new Set();

async function bundle(options) {
  const result = await build({ ...common, ...options });
  for (const path of Object.keys(result.metafile.inputs)) inputs.add(path);
  return result;
}

/** Gives a module of the sources other contents. */
function replace(path, contents) {
  return {
    name: `replace ${path}`,
    setup(builder) {
      const filter = new RegExp(`src[\\\\/]${path.replaceAll('/', '[\\\\/]')}$`);
      builder.onLoad({ filter }, () => ({ contents, loader: 'js' }));
    },
  };
}

/**
 * Text that is read at every start and never used: messages of zod in other languages, and the charsets of Asia and of old
 * computers for express's body parsers, which no route has.
 */
const unused = {
  name: 'unused',
  setup(builder) {
    const contents = {
      'zod/v4/locales/index.js': "export { default as en } from './en.js';",
      'iconv-lite/encodings/dbcs-data.js': 'module.exports = {};',
      'iconv-lite/encodings/sbcs-data-generated.js': 'module.exports = {};',
    };
    for (const [path, text] of Object.entries(contents)) {
      const filter = new RegExp(`node_modules[\\\\/]${path.replaceAll('/', '[\\\\/]')}$`);
      builder.onLoad({ filter }, ({ path: file }) => ({ contents: text, loader: 'js', resolveDir: dirname(file) }));
    }
  },
};

async function programText(entryPoint, plugins = []) {
  const { outputFiles } = await bundle({ entryPoints: [entryPoint], plugins, write: false });
  return outputFiles[0].text;
}

const textModule = (name, value) => `export const ${name} = ${JSON.stringify(value)};`;

/** A higher one takes twice the time of a build for one percent. */
const BROTLI_QUALITY = 7;

/** What src/background/programs/unpack.ts reads. */
const packed = (text) =>
  brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } }).toString('base64');

/** Compiles a client's text when it is first imported. */
const lazy = ({ name, path, exports }) =>
  replace(
    path,
    `import { runInThisContext } from 'node:vm';
     import { PROGRAMS } from '${'../'.repeat(path.split('/').length - 1)}background/programs/programs.js';
     import { unpack } from '${'../'.repeat(path.split('/').length - 1)}background/programs/unpack.js';
     const loaded = { exports: {} };
     const wrapped = '(function (exports, require, module, __filename, __dirname) {' + unpack(PROGRAMS.${name}) + '\\n})';
     runInThisContext(wrapped, { filename: '${name}-client.cjs' })(loaded.exports, require, loaded, __filename, __dirname);
     export const { ${exports.join(', ')} } = loaded.exports;`,
  );

/** The names that a module of clients exports. */
async function exportsOf(path) {
  const { metafile } = await build({
    ...common,
    format: 'esm',
    entryPoints: [path],
    packages: 'external',
    write: false,
  });
  return Object.values(metafile.outputs)[0].exports;
}

/** Kinds of registries that have a client of their own. */
const kindClients = readdirSync('src/kinds')
  .map((name) => ({ name, path: `kinds/${name}/sdk.ts` }))
  .filter(({ path }) => existsSync(`src/${path}`));

const clients = await Promise.all(
  [
    { name: 'kubernetes', path: 'kubernetes/client.ts' },
    { name: 'x509', path: 'kubernetes/serving-certificate/x509.ts' },
    { name: 'sigstore', path: 'gate/sigstore.ts' },
    { name: 'bullmq', path: 'shared-queue/bullmq.ts' },
    ...kindClients,
  ].map(async ({ name, path }) => {
    const source = `src/${path}`;
    return { name, path, exports: await exportsOf(source), text: await programText(source) };
  }),
);
const lazyClients = clients.map(lazy);
// The background worker gets the texts that its configuration needs from the main thread.
/** The main thread parses the configuration: the background worker needs no schema and no rules, and so no zod. */
const withoutSchemas = await Promise.all(
  readdirSync('src/kinds')
    .flatMap((name) => [`kinds/${name}/schema.ts`, `kinds/${name}/rules.ts`])
    .filter((path) => existsSync(`src/${path}`))
    .map(async (path) => {
      const names = await exportsOf(`src/${path}`);
      return replace(path, names.map((name) => `export const ${name} = undefined;`).join('\n'));
    }),
);
const backgroundProgram = await programText('src/background/entry.ts', [...lazyClients, ...withoutSchemas]);
const programs = Object.fromEntries(clients.map(({ name, text }) => [name, packed(text)]));

await bundle({
  entryPoints: ['src/cli/main.ts'],
  outfile: UNFINISHED,
  banner: { js: '#!/usr/bin/env node' },
  plugins: [
    unused,
    ...lazyClients,
    replace('background/programs/programs.ts', textModule('PROGRAMS', programs)),
    replace('background/program.ts', textModule('BACKGROUND_PROGRAM', packed(backgroundProgram))),
  ],
});

// One character beyond ASCII makes V8 keep the whole text with two bytes for each. esbuild escapes all but regular expressions.
const beyond = /.{0,60}\P{ASCII}/u.exec(await readFile(UNFINISHED, 'utf8'));
if (beyond !== null) throw new Error(`dist/image-swapper.cjs is not ASCII; escape it in the source: ${beyond[0]}`);

// Under its name only when it is whole: a process may start it while it is built.
await rename(UNFINISHED, 'dist/image-swapper.cjs');
await writeFile('dist/image-swapper.inputs.json', `${JSON.stringify([...inputs].sort(), null, 2)}\n`);
