import { existsSync, readdirSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import { build } from 'esbuild';

/**
 * Builds a single file that needs only `node`. It is CommonJS, because some dependencies call `require`. The background
 * worker and the clients of clusters and clouds (nine tenths of the code) are packed inside it as texts, so that each
 * thread parses and holds only the code that it runs. See docs/decisions/0004-background-worker.md.
 */
const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
  // Halves the text to parse at every start. Names are kept for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
};

const UNFINISHED = 'dist/image-swapper.unfinished.cjs';

/** Every file in the bundle, according to esbuild. The SBOM is created from this list. */
const inputs = new Set();

async function bundle(options) {
  const result = await build({ ...common, ...options });
  for (const path of Object.keys(result.metafile.inputs)) inputs.add(path);
  return result;
}

/** Replaces the contents of a source module. */
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
 * Text that would be parsed at every start and is never used: zod's messages in other languages, and tables of Asian
 * and legacy character sets for Express's body parsers, which no route uses.
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

/** A higher quality doubles the build time and saves one percent. */
const BROTLI_QUALITY = 7;

/** Packs a text for src/background/programs/unpack.ts. */
const packed = (text) =>
  brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } }).toString('base64');

/** Replaces a client's module with one that compiles the packed text when it is first imported. */
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

/** The names that a module exports. */
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

/** The kinds of registries that have their own client. */
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
/** The main thread parses the configuration, so the background worker needs no schemas, no rules, and no zod. */
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

// A single non-ASCII character makes V8 store the whole text with two bytes per character. esbuild escapes such
// characters everywhere except in regular expressions.
const beyond = /.{0,60}\P{ASCII}/u.exec(await readFile(UNFINISHED, 'utf8'));
if (beyond !== null) throw new Error(`dist/image-swapper.cjs is not ASCII; escape it in the source: ${beyond[0]}`);

// The file gets its final name only when it is complete, because a process may start it during a build.
await rename(UNFINISHED, 'dist/image-swapper.cjs');
await writeFile('dist/image-swapper.inputs.json', `${JSON.stringify([...inputs].sort(), null, 2)}\n`);
