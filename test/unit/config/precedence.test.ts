import { describe, expect, it } from 'vitest';
import { printConfig } from '../../../extension-service/src/config/print.js';
import type { LoadedConfig } from '../../../extension-service/src/config/parse.js';
import { baseOf, described, inFile, SAMPLES } from './key-samples.js';
import { parse, problemsOf } from './parsing.js';

const originOf = ({ origins }: LoadedConfig, key: string): unknown =>
  origins.get(key) ?? [...origins].find(([name]) => name.startsWith(`${key}.`) || name.startsWith(`${key}[`))?.[1];

it('has samples of every key outside lists', () => {
  expect(Object.keys(SAMPLES).sort()).toEqual([...described.keys()].sort());
});

describe.each(oneOfEachKind())('%s', (key, [first, second]) => {
  const { environment = '' } = described.get(key) ?? {};

  it('reads the environment as the file, and prefers the environment', () => {
    const loaded = parse(inFile(key, first), { env: { [environment]: second } });
    expect(loaded.config).toEqual(parse(inFile(key, second)).config);
    if (!isMapping(key)) expect(originOf(loaded, key)).toBe(`environment ${environment}`);
  });

  it('prefers a flag to the environment', () => {
    const loaded = parse(baseOf(key), { env: { [environment]: second }, flags: { [key]: first } });
    expect(loaded.config).toEqual(parse(inFile(key, first)).config);
    expect(originsUnder(loaded, key)).toContain('flag');
  });

  it('prefers the file to the default', () => {
    const loaded = parse(inFile(key, first));
    expect(originsUnder(loaded, key).some((origin) => /^image-swapper\.yaml:\d+$/.test(origin))).toBe(true);
  });

  it('prints the origin but never a password', () => {
    const loaded = parse(inFile(key, first), { env: { [environment]: second } });
    const printed = printConfig(loaded, 'text');
    if (!isMapping(key)) expect(printed).toContain(`# environment ${environment}`);
    for (const format of ['text', 'json', 'yaml'] as const) expect(printConfig(loaded, format)).not.toContain('p-word');
  });
});

/** The first key of each combination of type and sample format, and every password. */
function oneOfEachKind(): [string, readonly [string, string]][] {
  const kinds = new Map<string, [string, readonly [string, string]]>();
  for (const [key, samples] of Object.entries(SAMPLES)) {
    const { type = '' } = described.get(key) ?? {};
    const form = samples[0].replaceAll(/\w+/g, 'w').slice(0, 2);
    const kind = samples.join().includes('p-word') ? key : `${type} ${form}`;
    if (!kinds.has(kind)) kinds.set(kind, [key, samples]);
  }
  return [...kinds.values()];
}

function isMapping(key: string): boolean {
  return described.get(key)?.type === 'mapping';
}

function originsUnder({ origins }: LoadedConfig, key: string): string[] {
  return [...origins].flatMap(([name, origin]) =>
    name === key || name.startsWith(`${key}.`) || name.startsWith(`${key}[`) ? [origin] : [],
  );
}

describe('a flag that cannot be read', () => {
  it.each([
    [
      { 'target.oci.prefx': 'x' },
      'flag --set target.oci.prefx: no configuration key has this flag (did you mean "target.oci.prefix"?)',
    ],
    [{ logLevel: 'loud' }, 'flag --log-level: logLevel: '],
    [{ dryRun: 'ja' }, 'flag --set dryRun: dryRun: '],
    [{ imageCopyDeadline: 'soon' }, 'flag --set imageCopyDeadline: imageCopyDeadline: '],
    [{ 'source.filters': '[{jmespath: "a["}]' }, 'flag --set source.filters:1:16: source.filters[0].jmespath: '],
  ])('%j is named in the error', (flags, start) => {
    const problems = problemsOf('target: {oci: {registry: z.test}}\n', { flags });
    expect(problems).toHaveLength(1);
    expect(problems[0]?.startsWith(start), problems[0]).toBe(true);
  });
});
