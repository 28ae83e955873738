import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { CDK8S, packCdk8s } from '../tools/pack-cdk8s.js';

const require = createRequire(import.meta.url);

const APP = `
import { App, Chart } from 'cdk8s';
import { KyvernoMutatingPolicy, type KyvernoMutatingPolicyProps } from '@image-swapper/cdk8s';

const props: KyvernoMutatingPolicyProps = { url: 'http://swapper.mirrors.svc:8081', targets: ['registry.example.com/'] };
const app = new App({ outdir: process.argv[2]!, outputFileExtension: '.yaml' });
new KyvernoMutatingPolicy(new Chart(app, 'platform'), 'policy', props);
app.synth();
`;

const INLINE = `
import { ImageSwapper, type SwapperConfig } from '@image-swapper/cdk8s';
import type { Chart } from 'cdk8s';

declare const chart: Chart;
new ImageSwapper(chart, 'inline', {
  config: {
    logLevel: 'debug',
    imageSwapPolicy: 'exists',
    imageCopyPolicy: 'delayed',
    source: { filters: [{ jmespath: 'container.stdin' }], registries: [{ type: 'oci', oci: { registry: 'a.example.com' } }] },
    targets: [
      { name: 'a', match: 'container.tty', imageSwapPolicy: 'always', oci: { registry: 'a.example.com', insecure: true } },
      { name: 'b', aws: { accountId: '012345678901', region: 'eu-west-1', role: 'c' } },
      { name: 'c', gcp: { location: 'a', projectId: 'b', repositoryId: 'c', createRepository: true } },
    ],
    policies: { engine: 'kyverno' },
  },
});
export const config: SwapperConfig = { mirror: { concurrency: 4 }, target: { oci: { registry: 'a.example.com' } } };
// @ts-expect-error A key that policies depend on keeps its type.
export const wrong: SwapperConfig = { target: { oci: { registry: 5 } } };
`;

/** The published form of the package, in an app that has only its peers from this repository. */
describe('the packed cdk8s package', () => {
  let app: string;
  let files: string[];

  beforeAll(() => {
    app = mkdtempSync(join(tmpdir(), 'image-swapper-cdk8s-'));
    const packed = packCdk8s(app);
    const modules = join(app, 'node_modules');
    mkdirSync(join(modules, '@image-swapper', 'cdk8s'), { recursive: true });
    const into = join(modules, '@image-swapper', 'cdk8s');
    execFileSync('tar', ['-xzf', join(app, packed), '--strip-components=1', '-C', into]);
    for (const peer of ['cdk8s', 'constructs', '@types/node', 'undici-types']) {
      const link = join(modules, peer);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(dirname(require.resolve(`${peer}/package.json`)), link);
    }
    writeFileSync(join(app, 'package.json'), '{ "private": true }');
    writeFileSync(join(app, 'app.ts'), APP);
    files = readdirSync(into, { recursive: true, encoding: 'utf8' });
  });
  afterAll(() => rmSync(app, { recursive: true, force: true }));

  it('holds one bundle, its declarations and its documents', () => {
    expect(files.filter((file) => !file.endsWith('.d.ts')).sort()).toEqual([
      'README.md',
      'dist',
      'dist/index.js',
      'package.json',
    ]);
  });

  it.each(['commonjs', 'nodenext'])('compiles under module %s and synthesizes', (module) => {
    const tsc = require.resolve('typescript/bin/tsc');
    const resolution = module === 'commonjs' ? ['--moduleResolution', 'bundler'] : [];
    const flags = ['--strict', '--target', 'es2022', '--types', 'node', '--outDir', `out-${module}`];
    const compiled = spawnSync(process.execPath, [tsc, '--module', module, ...resolution, ...flags, 'app.ts'], {
      cwd: app,
      encoding: 'utf8',
    });
    expect(compiled.stdout).toBe('');
    const script = join(app, `out-${module}`, 'app.js');
    const output = execFileSync(process.execPath, [script, join(app, `yaml-${module}`)], {
      cwd: app,
      encoding: 'utf8',
    });
    expect(output).toBe('');
    const yaml = readFileSync(join(app, `yaml-${module}`, 'platform.yaml'), 'utf8');
    expect(parse(yaml)).toMatchObject({ kind: 'MutatingPolicy', metadata: { name: 'image-swapper' } });
  });

  it('accepts a complete configuration written inline in TypeScript', () => {
    writeFileSync(join(app, 'inline.ts'), INLINE);
    const tsc = require.resolve('typescript/bin/tsc');
    const flags = ['--strict', '--exactOptionalPropertyTypes', '--noEmit', '--skipLibCheck', '--types', 'node'];
    const args = [tsc, '--module', 'nodenext', ...flags, 'inline.ts'];
    const compiled = spawnSync(process.execPath, args, { cwd: app, encoding: 'utf8' });
    expect(compiled).toMatchObject({ status: 0, stdout: '' });
  });

  it('renders the example of a platform repository', () => {
    const example = join(app, 'platform-repo');
    cpSync(join(CDK8S, 'examples', 'platform-repo'), example, { recursive: true });
    const tsc = require.resolve('typescript/bin/tsc');
    const compiled = spawnSync(process.execPath, [tsc, '-p', '.'], { cwd: example, encoding: 'utf8' });
    expect(compiled.stdout).toBe('');
    const synth = spawnSync(process.execPath, ['main.js'], { cwd: example, encoding: 'utf8' });
    expect(synth).toMatchObject({ status: 0, stdout: '' });
    // The package leaves the NetworkPolicy to the service's chart, and the synth warns about this.
    expect(synth.stderr).toMatch(
      /^\S+ ImageSwapper: production\/image-swapper: .* no NetworkPolicy for the plain listener is rendered.*\n.*\n$/,
    );
    const kinds = (file: string): string[] =>
      parseAllDocuments(readFileSync(join(example, 'dist', file), 'utf8')).map(
        (document) => (document.toJS() as { kind: string }).kind,
      );
    expect(kinds('production.yaml')).toEqual(['MutatingPolicy']);
    expect(kinds('edge.yaml')).toEqual(['MutatingWebhookConfiguration']);
  });
});
