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
