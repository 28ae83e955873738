import { spawnSync } from 'node:child_process';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { parseConfig } from '../../extension-service/src/config/parse.js';
import { rootField } from '../../extension-service/src/config/schema/config.js';
import { gatekeeperChartValues } from '../../extension-service/src/core/engines/gatekeeper/chart-values.js';
import { blocks, pages, read, shellLines } from '../tools/docs.js';

const checkValues = new Ajv({ strict: false, validateFormats: false }).compile(
  JSON.parse(read('extension-service/chart/values.schema.json')) as object,
);
const configKeys = rootField.kind === 'mapping' ? [...rootField.fields.keys()] : [];

/** Problems of a configuration. Gives the example a target when it does not have the required one. */
function configProblems(text: string): string[] {
  const flags = /^targets?:/m.test(text) ? {} : { 'target.oci.registry': 'harbor.example.com' };
  try {
    return parseConfig({ text, file: 'image-swapper.yaml', flags }).warnings.map(({ message }) => message);
  } catch (error) {
    return [String(error)];
  }
}

/** Problems of the configuration in Helm values. The service checks more than the schema of the chart. */
function configInValues(text: string, { config }: { readonly config?: { readonly target?: object } }): string[] {
  if (config?.target === undefined) return [];
  try {
    return parseConfig({ text, file: 'values.yaml', helmValues: true }).warnings.map(({ message }) => message);
  } catch (error) {
    return [String(error)];
  }
}

/** Problems of Kubernetes objects, including those of Argo CD and Flux. Checks only the top-level keys. */
function manifestProblems(text: string): string[] {
  return parseAllDocuments(text).flatMap((document) => {
    const object = (document.toJS() ?? {}) as Readonly<Record<string, unknown>>;
    const missing = ['apiVersion', 'kind', 'metadata', 'spec'].filter((key) => !(key in object));
    return [...document.errors.map(({ message }) => message), ...missing.map((key) => `${key} is missing`)];
  });
}

/** Problems of an example, found by the parser or schema for this kind of file. */
function problemsOf(text: string, before: string | undefined): string[] {
  // An indented block continues the mapping at the end of the previous block.
  if (/^ /.test(text)) return before === undefined ? ['begins in the middle'] : configProblems(`${before}${text}`);
  if (/^apiVersion: /m.test(text)) return manifestProblems(text);
  const value: unknown = parse(text);
  if (Array.isArray(value)) {
    const isRule = (item: object): boolean => ['apiGroups', 'resources', 'verbs'].every((key) => key in item);
    return value.every((item) => isRule(item as object)) ? [] : ['is neither a configuration nor rights'];
  }
  const keys = Object.keys(value as object);
  if (keys.includes('enableExternalData')) {
    expect(value).toEqual(gatekeeperChartValues());
    return [];
  }
  if (keys.includes('config') || !keys.every((key) => configKeys.includes(key))) {
    return checkValues(value)
      ? configInValues(text, value as { readonly config?: { readonly target?: object } })
      : (checkValues.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  }
  return configProblems(text);
}

describe.each(pages)('the examples in %s', (page) => {
  it('are accepted by their consumers', () => {
    const found = blocks(page, 'yaml', 'yml');
    found.forEach((text, index) => expect(problemsOf(text, found[index - 1]), text).toEqual([]));
    for (const text of blocks(page, 'json')) expect(() => JSON.parse(text) as unknown, text).not.toThrow();
  });

  it('are valid shell commands', () => {
    for (const text of blocks(page, 'sh')) {
      const { status, stderr } = spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' });
      expect([status, stderr], text).toEqual([0, '']);
    }
  });

  it('use only files that were created before or that exist everywhere', () => {
    // The configuration file (local and in the Pod), the Helm values of the release, and the CA certificate.
    const known = ['-', 'image-swapper.yaml', '/etc/image-swapper/image-swapper.yaml', 'values.yaml', 'ca.crt'];
    const serving = ['tls.crt', 'tls.key'];
    const written = new Set([...known, ...serving]);
    for (const line of shellLines(page)) {
      const flags =
        / (?:--values|-f|--filename|--config|--ca-file|--cacert|--tls-cert-file|--tls-key-file|--chart-index) (\S+)/g;
      for (const [, file = ''] of line.matchAll(flags)) expect([...written], `${page}: ${line}`).toContain(file);
      for (const [, file = ''] of line.matchAll(/ --set-file \S+=(\S+)/g)) expect([...written], line).toContain(file);
      for (const [, file = ''] of line.matchAll(/(?: > | --output )([\w./-]+)/g)) written.add(file);
      // The comment after a command lists the files that the command writes.
      for (const file of (line.split(/\s# /)[1] ?? '').split(', ')) written.add(file);
    }
  });
});

it('the configuration in the Pod has the path of the chart', () => {
  expect(read('extension-service/chart/templates/_helpers.tpl')).toContain('\n/etc/image-swapper/image-swapper.yaml\n');
  expect(read('extension-service/Dockerfile')).toContain('ENTRYPOINT ["/usr/bin/node", "/app/image-swapper.cjs"]');
});

it('the docs show examples of all kinds', () => {
  const all = pages.flatMap((page) => blocks(page, 'yaml'));
  expect(all.length).toBeGreaterThan(14);
  expect(all.some((text) => /^config:/m.test(text))).toBe(true);
});
