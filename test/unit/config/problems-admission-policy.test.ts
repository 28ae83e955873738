import { describe, expect, it } from 'vitest';
import { parse, problemsOf, target, warningsOf } from './parsing.js';

const managed = 'policies: {engine: mutatingadmissionpolicy, manage: true}\n';
const filters = (...expressions: readonly string[]): string =>
  `${target}${managed}source:\n  filters:\n${expressions.map((text) => `    - jmespath: ${JSON.stringify(text)}\n`).join('')}`;

describe('a configuration for the table in the API server', () => {
  it.each<readonly [string, string, readonly RegExp[]]>([
    ['is fine where the service keeps the table', `${target}${managed}`, []],
    [
      'is refused where no component keeps the table',
      `${target}policies: {engine: mutatingadmissionpolicy}\n`,
      [/policies\.manage: is false, but policies\.engine is mutatingadmissionpolicy: no image would be swapped/],
    ],
    [
      'is fine without a table where every name is computed',
      `imageSwapPolicy: always\n${target}policies: {engine: mutatingadmissionpolicy}\n`,
      [],
    ],
    [
      'is refused without the watch, which alone copies',
      `${target}${managed}reconcile: {enabled: false}\n`,
      [/^3:22: reconcile\.enabled: is false, but policies\.engine is mutatingadmissionpolicy/],
    ],
    [
      'is refused where pull secrets decide and names are computed',
      `imageSwapPolicy: always\n${target}${managed}source: {accessCheck: pullSecrets}\n`,
      [/^4:23: source\.accessCheck: is pullSecrets, .* and imageSwapPolicy is always: .*: set imageSwapPolicy: exists/],
    ],
    ['has filters that CEL can decide', filters("obj.metadata.labels.a == 'b'", "container.name == 'c'"), []],
    [
      'is refused with a filter that CEL cannot decide, at its place',
      filters("obj.metadata.namespace == 'a'", 'obj.spec.hostNetwork'),
      [/^6:17: source\.filters\[1\]\.jmespath: the API server cannot decide "obj\.spec\.hostNetwork"/],
    ],
    [
      'has filters that CEL cannot decide, where the service decides their Pods',
      filters('obj.spec.hostNetwork').replace('manage: true', 'manage: true, undecidable: webhook'),
      [],
    ],
    [
      'has a match that CEL cannot decide, where the service decides its Pods',
      `${target}targets: [{name: b, match: container.stdin, oci: {registry: b.test}}]\n${managed.replace('manage: true', 'manage: true, undecidable: webhook')}`,
      [],
    ],
    [
      'is refused with undecidable and an engine whose requests show every Pod',
      `${target}policies: {engine: webhook, undecidable: webhook}\n`,
      [/^2:42: policies\.undecidable: is webhook, but policies\.engine is webhook: .*: leave it out/],
    ],
    [
      'is refused with undecidable and Gatekeeper',
      `${target}policies: {engine: gatekeeper, undecidable: webhook}\n`,
      [/^2:45: policies\.undecidable: is webhook, but policies\.engine is gatekeeper: .* only image names/],
    ],
    [
      'is refused where pull secrets decide and names are computed, also beside a webhook',
      `imageSwapPolicy: always\n${target}${managed.replace('manage: true', 'manage: true, undecidable: webhook')}source: {accessCheck: pullSecrets}\n`,
      [/^4:23: source\.accessCheck: is pullSecrets/],
    ],
    [
      'is refused with a wait that is longer than that of the webhook',
      `imageCopyPolicy: immediate\nimageCopyDeadline: 40s\n${target}${managed.replace('manage: true', 'manage: true, undecidable: webhook')}`,
      [/^2:20: imageCopyDeadline: is longer than 28s/],
    ],
  ])('%s', (_, text, expected) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(expected.length);
    expected.forEach((pattern, index) => expect(problems[index]).toMatch(pattern));
  });

  it('warns that Pods keep the source of images that need a pull secret', () => {
    const text = `${target}${managed}source: {accessCheck: pullSecrets}\n`;
    expect(problemsOf(text)).toEqual([]);
    expect(warningsOf(parse(text))).toEqual([
      expect.stringMatching(/^3:23: source\.accessCheck: .* so Pods keep the source of images that not everybody can/),
    ]);
  });

  it('warns that images which are not copied do not come into the table', () => {
    const text = `imageCopyPolicy: none\n${target}${managed}`;
    expect(problemsOf(text)).toEqual([]);
    expect(warningsOf(parse(text))).toEqual([
      expect.stringMatching(
        /^1:18: imageCopyPolicy: is none, but policies\.engine is mutatingadmissionpolicy: the table holds/,
      ),
    ]);
    expect(warningsOf(parse(`imageCopyPolicy: none\nimageSwapPolicy: always\n${target}${managed}`))).toEqual([]);
  });
});
