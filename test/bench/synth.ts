/**
 * Measures the time to render policies: everything in `policies/`, and the example of a platform repository, which
 * imports the built package. It runs whole processes, as users and pipelines do. `npx tsx test/bench/synth.ts [rounds]`
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { median, printTable } from './table.js';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../../', import.meta.url));

export function run(rounds = 5): void {
  execFileSync(process.execPath, ['build.mjs'], { cwd: join(root, 'cdk8s'), stdio: 'inherit' });
  const folder = mkdtempSync(join(tmpdir(), 'image-swapper-synth-'));
  try {
    const own = ['--import', require.resolve('tsx'), join(root, 'cdk8s', 'main.ts')];
    const example = platformRepo(folder);
    const rows = [
      row('policies/: 19 files', rounds, () => synth(own, root, { CDK8S_OUTDIR: join(folder, 'policies') })),
      row('examples/platform-repo', rounds, () => synth(['main.js'], example)),
      row('node, doing nothing', rounds, () => synth(['--eval', ''], folder)),
    ];
    printTable([`median of ${rounds}`, 's'], rows);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function row(name: string, rounds: number, work: () => void): readonly [string, number] {
  // The first run fills the file cache.
  work();
  const seconds = Array.from({ length: rounds }, () => {
    const started = performance.now();
    work();
    return (performance.now() - started) / 1_000;
  });
  return [name, median(seconds)];
}

function synth(args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}): void {
  execFileSync(process.execPath, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Copies the example to a separate folder and installs only the package and its peers. */
function platformRepo(folder: string): string {
  const example = join(folder, 'platform-repo');
  cpSync(join(root, 'cdk8s', 'examples', 'platform-repo'), example, { recursive: true });
  const modules = join(example, 'node_modules');
  mkdirSync(join(modules, '@image-swapper'), { recursive: true });
  symlinkSync(join(root, 'cdk8s'), join(modules, '@image-swapper', 'cdk8s'));
  for (const peer of ['cdk8s', 'constructs']) {
    symlinkSync(dirname(require.resolve(`${peer}/package.json`)), join(modules, peer));
  }
  const [entry, outfile] = [join(example, 'main.ts'), join(example, 'main.js')];
  buildSync({ entryPoints: [entry], outfile, platform: 'node', format: 'cjs', packages: 'external', bundle: true });
  return example;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) run(...process.argv.slice(2).map(Number));
