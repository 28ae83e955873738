import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { packCdk8s } from '../tools/pack-cdk8s.js';

/** The app that `cdk8s init typescript-app` makes, with our package installed by npm as its README says. */

const require = createRequire(import.meta.url);
const version = (name: string): string => (require(`${name}/package.json`) as { version: string }).version;

/** The template's versions; a synth does not need `jest`, `ts-jest` and `cdk8s import`. */
const FILES = {
  'package.json': JSON.stringify({
    name: 'platform',
    version: '1.0.0',
    main: 'main.js',
    types: 'main.ts',
    license: 'Apache-2.0',
    private: true,
    scripts: { compile: 'tsc', synth: 'node main.js' },
  }),
  'cdk8s.yaml': 'language: typescript\napp: node main.js\nimports:\n  - k8s\n',
  'tsconfig.json': JSON.stringify({
    compilerOptions: {
      ...{ alwaysStrict: true, declaration: true, experimentalDecorators: true },
      ...{
        inlineSourceMap: true,
        inlineSources: true,
        lib: ['es2020'],
        module: 'CommonJS',
        moduleResolution: 'bundler',
      },
      ...{ noEmitOnError: true, noFallthroughCasesInSwitch: true, noImplicitAny: true, noImplicitReturns: true },
      ...{ noImplicitThis: true, noUnusedLocals: true, noUnusedParameters: true, resolveJsonModule: true },
      ...{ strict: true, strictNullChecks: true, strictPropertyInitialization: true, stripInternal: true },
      ...{ target: 'ES2020', types: ['node'] },
    },
    include: ['**/*.ts'],
    exclude: ['node_modules'],
  }),
  'main.ts': `import { Construct } from 'constructs';
import { App, Chart, ChartProps } from 'cdk8s';
import { ImageSwapper } from '@image-swapper/cdk8s';

export class MyChart extends Chart {
  constructor(scope: Construct, id: string, props: ChartProps = {}) {
    super(scope, id, props);
    new ImageSwapper(this, 'image-swapper', {
      config: {
        source: { filters: [{ jmespath: "obj.metadata.namespace == 'monitoring'" }] },
        target: { aws: { accountId: '012345678901', region: 'eu-central-1' } },
      },
    });
  }
}

const app = new App();
new MyChart(app, 'platform');
app.synth();
`,
} as const;

let app: string;
beforeAll(() => {
  app = mkdtempSync(join(tmpdir(), 'image-swapper-init-'));
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(app, name), text);
  const packed = packCdk8s(app);
  const npm = (...args: readonly string[]): string => {
    const quiet = ['--no-audit', '--no-fund', '--prefer-offline'];
    const { status, stdout, stderr } = spawnSync('npm', [...args, ...quiet], { cwd: app, encoding: 'utf8' });
    if (status !== 0) throw new Error(`npm ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  npm('install', ...['cdk8s', 'constructs'].map((name) => `${name}@^${version(name)}`));
  npm('install', '--save-dev', `typescript@${version('typescript')}`, `@types/node@${version('@types/node')}`);
  npm('install', `./${packed}`);
});
afterAll(() => rmSync(app, { recursive: true, force: true }));

it('installs the packed package, compiles and synthesizes', () => {
  // The app has no unmet peer and no second copy of a peer.
  const listed = execFileSync('npm', ['ls', '--all', '--json'], { cwd: app, encoding: 'utf8' });
  expect(listed).not.toContain('"problems"');
  const lock = JSON.parse(readFileSync(join(app, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, unknown>;
  };
  const installed = Object.keys(lock.packages).filter((path) =>
    /(?:^|\/)node_modules\/(?:cdk8s|constructs|@image-swapper\/.*)$/.test(path),
  );
  expect(installed.sort()).toEqual([
    'node_modules/@image-swapper/cdk8s',
    'node_modules/cdk8s',
    'node_modules/constructs',
  ]);

  const run = (script: string) => spawnSync('npm', ['run', '--silent', script], { cwd: app, encoding: 'utf8' });
  expect(run('compile')).toMatchObject({ status: 0, stdout: '' });
  expect(run('synth')).toMatchObject({ status: 0, stdout: '' });
  const objects = parseAllDocuments(readFileSync(join(app, 'dist', 'platform.k8s.yaml'), 'utf8')).map(
    (document) => document.toJS() as { kind: string; metadata: { name: string } },
  );
  expect(objects.map(({ kind, metadata: { name } }) => `${kind} ${name}`)).toEqual([
    'MutatingPolicy image-swapper',
    'NetworkPolicy image-swapper-plain-http',
  ]);
  expect(JSON.stringify(objects)).toContain('012345678901.dkr.ecr.eu-central-1.amazonaws.com/');
});
