import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { createProgram } from '../../../extension-service/src/cli/program.js';
import { parseConfig } from '../../../extension-service/src/config/parse.js';
import { migrate } from '../../../extension-service/src/migrate/migrate.js';
import type { PolicyEngine } from '../../../extension-service/src/core/config/model.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const json = (file: string): unknown => JSON.parse(readFileSync(root + file, 'utf8'));
const chartValues = json('test/fixtures/k8s-image-swapper/chart-values.json') as Record<string, unknown>;
const configKeys = json('test/fixtures/k8s-image-swapper/config-keys.json') as Record<string, unknown>;
const ourSchema = 'extension-service/chart/values.schema.json';
const aws = { accountId: '123456789012', region: 'eu-west-1' };

/** The entry for each key in the table of docs/migration.md. */
const documented = new Map(
  [...readFileSync(`${root}docs/migration.md`, 'utf8').matchAll(/^\| `([^`]+)` \| (same|–|`[^`]+`) \|/gm)].map(
    ([, key = '', here = '']) => [key, here.replaceAll('`', '')],
  ),
);

type Step = string | number;
const steps = (key: string): Step[] =>
  key.split('.').flatMap((part): Step[] => (part.endsWith('[]') ? [part.slice(0, -2), 0] : [part]));

function put(into: Record<Step, unknown>, [first = '', ...rest]: readonly Step[], value: unknown): void {
  if (rest.length === 0) into[first] = value;
  else put((into[first] ??= typeof rest[0] === 'number' ? [] : {}) as Record<Step, unknown>, rest, value);
}

function get(from: unknown, key: string): unknown {
  return steps(key).reduce<unknown>((at, step) => (at as Record<Step, unknown> | undefined)?.[step], from);
}

function run(values: unknown, engine: PolicyEngine = 'webhook') {
  return migrate({ text: stringify(values), file: 'values.yaml', engine });
}

/** A complete file around one value, so that only this value can cause a finding. */
function around(key: string): Record<string, unknown> {
  const config: Record<string, unknown> = { source: { filters: [] } };
  const [, list] = /^(source\.\w*[rR]egistries)\[\]/.exec(key) ?? [];
  const values = { config };
  if (key.startsWith('target.')) {
    for (const [other, value] of Object.entries(configKeys)) {
      const family = (name: string): string => name.split('.')[1] ?? '';
      const wanted = key === 'target.type' ? 'aws' : family(key);
      if (other.startsWith('target.') && family(other) === wanted) put(config, steps(other), value);
    }
  } else {
    config['target'] = { aws };
    if (list !== undefined) {
      const wanted = /\[\]\.(\w+)/.exec(key)?.[1] === 'gcp' ? 'gcp' : 'aws';
      for (const [other, value] of Object.entries(configKeys)) {
        if (other.startsWith(`${list}[].${wanted}.`)) put(config, steps(other), value);
      }
    }
  }
  return values;
}

describe('docs/migration.md', () => {
  it("has a row for each key of k8s-image-swapper's chart and configuration, and for no other", () => {
    const known = [...Object.keys(chartValues), ...Object.keys(configKeys)];
    expect(known.length).toBeGreaterThan(100);
    expect([...documented.keys()].sort()).toEqual(known.sort());
  });

  it.each(['docs/migration.md', 'docs/release.md'])(
    'and its neighbors name only commands and flags that exist: %s',
    (page) => {
      const text = readFileSync(root + page, 'utf8');
      const { scripts } = json('package.json') as { scripts: Record<string, string> };
      const { scripts: own } = json('extension-service/package.json') as { scripts: Record<string, string> };
      for (const [, script = ''] of text.matchAll(/npm run ([a-z0-9:]+)/g))
        expect({ ...scripts, ...own }).toHaveProperty([script]);
      const streams = { stdin: Readable.from([]), stdout: process.stdout, stderr: process.stderr, env: {}, cwd: root };
      const commands = createProgram(streams, () => undefined).commands;
      for (const [, line = ''] of text.matchAll(/^ *image-swapper (.*)$/gm)) {
        const [name, ...words] = (line.split(/ [#|>] ?/)[0] ?? '').trim().split(/\s+/);
        const command = commands.find((known) => known.name() === name);
        expect(command, line).toBeDefined();
        const flags = command?.options.flatMap(({ short, long }) => [short, long]) ?? [];
        for (const flag of words.filter((word) => word.startsWith('-'))) expect(flags, line).toContain(flag);
      }
    },
  );
});

describe.each(Object.entries(chartValues))('the chart value %s', (key, value) => {
  it('is converted as documented', () => {
    const values = around('dryRun');
    put(values, steps(key), value);
    const { values: ours, findings } = run(values);
    const here = documented.get(key) ?? '';
    const told = findings.filter((finding) => key === finding.key || key.startsWith(`${finding.key}.`));
    if (here === 'same') {
      expect(get(ours, key)).toEqual(value);
    } else {
      expect(get(ours, key)).toBeUndefined();
      expect(told).toHaveLength(1);
      if (here !== '–') expect(get(ours, here)).toBeDefined();
    }
    expect(findings.filter((finding) => !told.includes(finding))).toEqual([]);
    expect(told.map(({ message }) => message).join()).not.toContain('no such value');
  });
});

describe.each(Object.entries(configKeys))('the configuration key %s', (key, value) => {
  it.each(['values.yaml', '.k8s-image-swapper.yaml'])('is converted as documented in %s', (file) => {
    const values = around(key);
    put(values['config'] as Record<string, unknown>, steps(key), value);
    const inChart = file === 'values.yaml';
    const {
      values: ours,
      findings,
      from,
    } = migrate({
      text: stringify(inChart ? values : values['config']),
      file,
      engine: 'webhook',
    });
    expect(from).toBe(inChart ? 'values' : 'config');
    const here = documented.get(key) ?? '';
    const config = ours['config'];
    if (here === 'same') expect(get(config, key)).toEqual(value);
    else if (here === '–') {
      expect(config).not.toHaveProperty(key);
      expect(findings.map((finding) => finding.key)).toContain(inChart ? `config.${key}` : key);
    } else {
      expect(get(config, here)).toEqual(key === 'target.generic.repository' ? 'harbor.example.com' : value);
      expect(get(config, key)).toBeUndefined();
    }
    expect(findings.filter(({ message }) => message.startsWith('unknown key'))).toEqual([]);
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    // The strict parser of the service accepts the printed configuration.
    expect(() => parseConfig({ text: stringify(config), file: 'image-swapper.yaml' })).not.toThrow();
  });
});

describe.each(['webhook', 'kyverno', 'kyverno-clusterpolicy', 'gatekeeper', 'none'] as const)('engine %s', (engine) => {
  it("prints values that the chart's schema accepts", () => {
    const values = around('dryRun');
    for (const [key, value] of Object.entries(chartValues)) put(values, steps(key), value);
    const { values: ours } = run(values, engine);
    expect(ours).toMatchObject({ policies: { engine, failClosed: true }, tls: { mode: 'certManager' } });
    const schema = json(ourSchema) as object;
    const check = new Ajv({ strict: false, validateFormats: false }).compile(schema);
    expect(check(ours), JSON.stringify(check.errors)).toBe(true);
  });
});
