import { afterEach, describe, expect, it, vi } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { renderPolicies } from '../../../extension-service/src/cli/policies.js';
import type { EngineName } from '../../../extension-service/src/core/engines/names.js';
import { parse } from '../config/parsing.js';
import { CA } from '../policies/example-options.js';
import { swapper } from './swapper.js';

afterEach(() => vi.restoreAllMocks());

const TARGET = 'target: {type: oci, oci: {registry: registry.example.com}}\n';
const TABLE = 'policies: {engine: kyverno, manage: true, table: true}\n';
const WITH_TABLE = ['CustomResourceDefinition', 'ClusterRole', 'GlobalContextEntry', 'MutatingPolicy'];
const COMPUTED = 'imageSwapPolicy: always\n';
const PAIR = ['MutatingAdmissionPolicy', 'MutatingAdmissionPolicyBinding'];

/** A configuration, the engine, and the kinds of the rendered objects. */
const CASES: readonly (readonly [string, EngineName, readonly string[], string])[] = [
  ['the table of Kyverno', 'kyverno', WITH_TABLE, `${TARGET}${TABLE}`],
  [
    'the table with everything that its policy depends on',
    'kyverno',
    WITH_TABLE,
    [
      'imageCopyPolicy: force',
      'source: {accessCheck: pullSecrets, volumes: false, filters: [{jmespath: obj.spec.hostNetwork}]}',
      'mirror: {platforms: [linux/amd64]}',
      'pods: {annotate: true, pullSecret: pull}',
      'auth: {kyverno: {secretName: caller}}',
      'targets: [{name: eu, match: "obj.metadata.namespace == \'eu\'", platforms: all, oci: {registry: eu.example.com, prefix: mirror}}]',
      `${TARGET}policies: {manage: true, table: true, name: swap, failClosed: true, excludedNamespaces: [build]}\n`,
    ].join('\n'),
  ],
  ['the table during a dry run', 'kyverno', WITH_TABLE, `dryRun: true\n${TARGET}${TABLE}`],
  ['Kyverno without the table', 'kyverno', ['MutatingPolicy'], TARGET],
  ['names that the API server computes', 'mutatingadmissionpolicy', PAIR, `${COMPUTED}${TARGET}`],
  [
    'names that the API server computes for some platforms',
    'mutatingadmissionpolicy',
    PAIR,
    `${COMPUTED}${TARGET}mirror: {platforms: [linux/amd64]}\n`,
  ],
  ['a dry run of the API server', 'mutatingadmissionpolicy', PAIR.slice(0, 1), `dryRun: true\n${COMPUTED}${TARGET}`],
  ['the webhook', 'webhook', ['MutatingWebhookConfiguration'], TARGET],
];

describe('ImageSwapper renders the same as the command policies', () => {
  it.each(CASES)('for %s', (_, engine, kinds, text) => {
    const ca = engine === 'webhook' ? { caBundle: CA } : {};
    const expected = renderPolicies(parse(text).config, { engine }, ca);
    const { manifests } = swapper({ config: parseYaml(text), engine, ...ca });
    const policies = manifests.filter(({ kind }) => kind !== 'NetworkPolicy');
    expect(policies.map(({ kind }) => kind)).toEqual(kinds);
    expect(policies).toEqual(JSON.parse(JSON.stringify(expected)));
  });

  it('and says that the leader also writes what it renders for the table', () => {
    const { warnings } = swapper({ config: parseYaml(`${TARGET}${TABLE}`) }).construct;
    expect(warnings).toContainEqual(
      expect.stringMatching(/the leader also writes the GlobalContextEntry and the policy/),
    );
  });

  it.each([
    [
      'table: true',
      /props\.config\.policies\.table: .*nothing would write the table: set config\.policies\.manage: true$/,
    ],
    ['manage: true, table: "yes"', /config\.policies\.table: "yes" must be true or false/],
    [
      'engine: kyverno-clusterpolicy, manage: true, table: true',
      /config\.policies\.table: is true, but the engine is kyverno-clusterpolicy, whose policies cannot read a table of images: leave it out/,
    ],
    [
      'engine: mutatingadmissionpolicy, manage: true, table: true',
      /config\.policies\.table: is true, but the engine is mutatingadmissionpolicy, which always has a table/,
    ],
    [
      'manage: true, table: true}\nreconcile: {enabled: false',
      /config\.policies\.table: .* the table would stay empty: set config\.reconcile\.enabled: true/,
    ],
    [
      'manage: true, table: true, failClosed: true}\nsource: {directTarget: refuse',
      /config\.policies\.table: .* the service must see every Pod/,
    ],
    ['}\nmirror: {platforms: [linux/what]', /config\.mirror\.platforms\[0\]: platform "linux\/what"/],
    ['}\nmirror: {platforms: []', /config\.mirror\.platforms: is empty/],
  ])('and stops the synth for policies: {%s}', (policies, message) => {
    const config = parseYaml(`${COMPUTED}${TARGET}policies: {${policies}}\n`) as unknown;
    expect(() => swapper({ config })).toThrow(message);
  });
});
