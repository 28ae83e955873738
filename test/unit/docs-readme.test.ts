import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../extension-service/src/cli/program.js';
import { parseConfig } from '../../extension-service/src/config/parse.js';
import { documentedCommands } from '../tools/chart/documented.js';
import { blocks, commandsOf, pages, read, root } from '../tools/docs.js';

const readme = read('README.md');
const scripts = Object.keys((JSON.parse(read('package.json')) as { scripts: object }).scripts);

describe('README.md', () => {
  it('has the two commands', () => {
    expect(readme).toContain('npm ci && npm run demo');
    expect(readme).toContain('npm ci && npm test');
  });

  it('names only npm scripts that exist', () => {
    const named = [...readme.matchAll(/npm run ([a-z0-9:]+)/g)].map(([, name]) => name);
    expect(named.length).toBeGreaterThan(1);
    for (const name of named) expect(scripts).toContain(name);
  });

  it('fits on two screens', () => {
    expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(110);
  });

  it('links to the map of the docs, which names every page', () => {
    expect(readme).toContain('(docs/README.md)');
    const map = read('docs/README.md');
    for (const page of readdirSync(join(root, 'docs')).filter((file) => file.endsWith('.md') && file !== 'README.md'))
      expect(map).toContain(`(${page})`);
  });
});

describe('docs/command-line.md', () => {
  it('shows a configuration that loads without a warning', () => {
    const [text = ''] = blocks('docs/command-line.md', 'yaml');
    const { config, warnings } = parseConfig({ text, file: 'image-swapper.yaml' });
    expect(warnings).toEqual([]);
    expect(config.target).toMatchObject({ type: 'oci', oci: { registry: 'harbor.example.com', prefix: 'mirror' } });
  });
});

describe('the way to the first Pod with README.md alone', () => {
  it('equals the commands of docs/install.md', async () => {
    const installed = await documentedCommands('any-registry');
    expect(await documentedCommands('any-registry', 'README.md')).toEqual(installed);
    const first = await documentedCommands('first-pod', 'README.md');
    expect(first.slice(1, 6)).toEqual(await documentedCommands('checkout'));
  });

  it('has eleven lines, including the login for Harbor', async () => {
    expect(await documentedCommands('first-pod', 'README.md')).toHaveLength(11);
    expect(await documentedCommands('first-pod', 'README.md')).toContainEqual(
      expect.arrayContaining(['secret', 'harbor']),
    );
  });
});

describe('the command line', () => {
  it('has the commands and flags of the design', () => {
    const streams = { stdin: Readable.from([]), stdout: process.stdout, stderr: process.stderr, env: {}, cwd: root };
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

const streams = { stdin: Readable.from([]), stdout: process.stdout, stderr: process.stderr, env: {}, cwd: root };
const program = createProgram(streams, () => undefined);

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly anyOf?: readonly Schema[];
  readonly $ref?: string;
}
const chartSchema = JSON.parse(read('extension-service/chart/values.schema.json')) as Schema & {
  readonly $defs?: Readonly<Record<string, Schema>>;
};

/** Whether the chart accepts a value with this name. */
function isValue(schema: Schema, [first, ...rest]: readonly string[]): boolean {
  if (first === undefined) return true;
  if (schema.$ref !== undefined) {
    const definition = chartSchema.$defs?.[schema.$ref.split('/').at(-1) ?? ''];
    return definition !== undefined && isValue(definition, [first, ...rest]);
  }
  if (schema.anyOf?.some((one) => isValue(one, [first, ...rest])) === true) return true;
  const child = schema.properties?.[first.replace(/\[\d+\]$/, '')];
  if (child !== undefined) return isValue(child, rest);
  return schema.properties === undefined || typeof schema.additionalProperties === 'object';
}

describe.each(pages)('the commands in %s', (page) => {
  it('exist, with their flags', () => {
    for (const line of commandsOf(page, 'image-swapper')) {
      const words = (line.split(' > ')[0] ?? '').split(/\s+/);
      const command = program.commands.find((known) => known.name() === words[1]);
      if (words[1]?.startsWith('-') === true) continue;
      expect(command, line).toBeDefined();
      const flags = command?.options.flatMap(({ short, long }) => [short, long]) ?? [];
      for (const flag of words.filter((word) => word.startsWith('-') && word !== '-'))
        expect(flags, line).toContain(flag);
    }
  });

  it('of Helm set values that the chart has', () => {
    for (const line of commandsOf(page, 'helm').filter((command) => command.includes('image-swapper'))) {
      for (const [, key = ''] of line.matchAll(/--set(?:-string|-file)? ["']?([^=\s]+)=/g)) {
        const parts = key.replaceAll('\\.', '\0').split('.');
        expect(isValue(chartSchema, parts), `${page}: ${key}`).toBe(true);
      }
    }
  });
});

it('the README and the walk-throughs show commands of image-swapper and Helm', () => {
  for (const page of ['README.md', 'docs/kyverno.md', 'docs/gatekeeper.md']) {
    expect(commandsOf(page, 'image-swapper').length, page).toBeGreaterThan(0);
    expect(commandsOf(page, 'helm').length, page).toBeGreaterThan(1);
  }
});

/** The link targets of a page: GitHub's anchors of its headings, and elements with an id. */
function anchors(page: string): string[] {
  const text = read(page).replaceAll(/^ *```.*?^ *```$/gms, '');
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
  return [...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)];
}

describe.each([...pages, ...readdirSync(join(root, 'docs/decisions')).map((file) => `docs/decisions/${file}`)])(
  '%s',
  (page) => {
    it('links to files that exist', () => {
      for (const [, link = ''] of read(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
        expect(existsSync(join(root, dirname(page), link)), `${page} -> ${link}`).toBe(true);
      }
    });

    it('links to headings that exist', () => {
      for (const [, link = '', anchor = ''] of read(page).matchAll(/\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)/g)) {
        const target = link === '' ? page : relative(root, join(root, dirname(page), link));
        expect(anchors(target), `${page} -> ${link}#${anchor}`).toContain(anchor);
      }
    });
  },
);
