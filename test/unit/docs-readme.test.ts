import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../extension-service/src/cli/program.js';
import { parseConfig } from '../../extension-service/src/config/parse.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const readme = read('README.md');
const pages = [
  'README.md',
  'cdk8s/README.md',
  'policies/README.md',
  'docs/configuration.md',
  'docs/credentials.md',
  'docs/benchmarks.md',
  'docs/aws.md',
  'docs/engines.md',
  'docs/explain.md',
  'docs/gcp.md',
  'docs/migration.md',
  'docs/operations.md',
  'docs/release.md',
];
const scripts = Object.keys((JSON.parse(read('package.json')) as { scripts: object }).scripts);
const blocks = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, text]) => text ?? '');

describe('README.md', () => {
  it('has the two commands', () => {
    expect(readme).toContain('npm ci && npm run demo');
    expect(readme).toContain('npm ci && npm test');
  });

  it('names only npm scripts that exist', () => {
    const named = [...readme.matchAll(/npm run ([a-z0-9:]+)/g)].map(([, name]) => name);
    expect(named.length).toBeGreaterThan(4);
    for (const name of named) expect(scripts).toContain(name);
  });

  it('uses only commands and flags that exist', () => {
    const streams = { stdout: process.stdout, stderr: process.stderr, env: {}, cwd: root };
    const program = createProgram(streams, () => undefined);
    const lines = blocks('sh')
      .join('\n')
      .replaceAll('\\\n', ' ')
      .split('\n')
      .filter((line) => line.startsWith('image-swapper '));
    expect(lines.length).toBeGreaterThan(4);
    for (const line of lines) {
      const words = (line.split(/ [#|] ?/)[0] ?? '').trim().split(/\s+/);
      const command = program.commands.find((known) => known.name() === words[1]);
      expect(command, line).toBeDefined();
      const flags = command?.options.flatMap(({ short, long }) => [short, long]) ?? [];
      for (const flag of words.filter((word) => word.startsWith('-'))) expect(flags, line).toContain(flag);
    }
  });

  it('shows a configuration that loads without a warning', () => {
    const [text = ''] = blocks('yaml');
    const { config, warnings } = parseConfig({ text, file: 'image-swapper.yaml' });
    expect(warnings).toEqual([]);
    expect(config.target).toMatchObject({ type: 'oci', oci: { registry: 'harbor.example.com', prefix: 'mirror' } });
  });
});

describe('the command line', () => {
  it('has the commands and flags of the design', () => {
    const streams = { stdout: process.stdout, stderr: process.stderr, env: {}, cwd: root };
    const commands = new Map(createProgram(streams, () => undefined).commands.map((known) => [known.name(), known]));
    const flags = (name: string): (string | undefined)[] => commands.get(name)?.options.map(({ long }) => long) ?? [];
    const serve = [
      'listen-address',
      'metrics-address',
      'tls-cert-file',
      'tls-key-file',
      'http-listen-address',
      'dry-run',
    ];
    expect(flags('serve')).toEqual(expect.arrayContaining(serve.map((flag) => `--${flag}`)));
    for (const name of commands.keys()) {
      expect(flags(name)).toEqual(expect.arrayContaining(['--config', '--log-level', '--log-format']));
    }
    expect(flags('policies')).toEqual(expect.arrayContaining(['--engine', '--url', '--ca-file', '--fail-closed']));
  });
});

describe.each([...pages, ...readdirSync(join(root, 'docs/decisions')).map((file) => `docs/decisions/${file}`)])(
  '%s',
  (page) => {
    it('links to files that exist', () => {
      for (const [, link = ''] of read(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
        expect(existsSync(join(root, dirname(page), link)), `${page} -> ${link}`).toBe(true);
      }
    });
  },
);
