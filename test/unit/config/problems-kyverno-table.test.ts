import { describe, expect, it } from 'vitest';
import { parse, problemsOf, target, warningsOf } from './parsing.js';

const managed = 'policies: {manage: true, table: true}\n';

describe('a configuration with policies.table', () => {
  it.each<readonly [string, string, readonly RegExp[]]>([
    ['is fine where the service keeps the table', `${target}${managed}`, []],
    [
      'is refused where no component keeps the table',
      `${target}policies: {table: true}\n`,
      [
        /^2:19: policies\.table: is true, but policies\.manage is false: nothing would write the table: set policies\.manage: true/,
      ],
    ],
    [
      'is refused without an engine',
      `${target}policies: {engine: none, table: true}\n`,
      [/policies\.table: is true, but policies\.engine is none: leave it out, or set policies\.engine: kyverno$/],
    ],
    [
      'is refused for ClusterPolicy',
      `${target}policies: {engine: kyverno-clusterpolicy, manage: true, table: true}\n`,
      [
        /policies\.table: is true, but policies\.engine is kyverno-clusterpolicy, whose policies cannot read a table of images: leave it out, or set policies\.engine: kyverno$/,
      ],
    ],
    [
      'is refused for Gatekeeper',
      `${target}policies: {engine: gatekeeper, manage: true, table: true, caFile: /ca.pem}\n`,
      [/policies\.engine is gatekeeper, whose policies cannot read a table/],
    ],
    [
      'is refused for the engine that always has a table',
      `${target}policies: {engine: mutatingadmissionpolicy, manage: true, table: true}\n`,
      [/policies\.engine is mutatingadmissionpolicy, which always has a table: leave it out/],
    ],
    [
      'is refused without the watch, which fills the table',
      `${target}${managed}reconcile: {enabled: false}\n`,
      [/policies\.table: is true, but reconcile\.enabled is false: the table would stay empty/],
    ],
    [
      'is refused where the service must see every Pod',
      `${target}policies: {manage: true, table: true, failClosed: true}\nsource: {directTarget: refuse}\n`,
      [/policies\.table: is true, but source\.directTarget is refuse: the service must see every Pod/],
    ],
    [
      'is fine with a filter that CEL cannot decide, because the service decides its Pods',
      `${target}${managed}source: {filters: [{jmespath: obj.spec.hostNetwork}]}\n`,
      [],
    ],
    [
      'is fine where pull secrets decide, because the service decides private images',
      `${target}${managed}source: {accessCheck: pullSecrets}\n`,
      [],
    ],
    ['is fine where every name is computed', `imageSwapPolicy: always\n${target}${managed}`, []],
  ])('%s', (_, text, expected) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(expected.length);
    expected.forEach((pattern, index) => expect(problems[index]).toMatch(pattern));
  });

  it.each([
    [
      'none',
      /imageCopyPolicy: is none, so Pods of this target call the service despite policies\.table: the table holds only/,
    ],
    [
      'force',
      /imageCopyPolicy: is force, so Pods of this target call the service despite policies\.table: the service checks/,
    ],
  ])('warns that imageCopyPolicy %s makes its Pods call the service', (policy, expected) => {
    const warnings = warningsOf(parse(`imageCopyPolicy: ${policy}\n${target}${managed}`));
    expect(warnings.some((warning) => expected.test(warning))).toBe(true);
  });
});
