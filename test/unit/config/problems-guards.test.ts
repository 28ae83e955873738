import { describe, expect, it } from 'vitest';
import { parse, problemsOf, target, warningsOf } from './parsing.js';

const CHECK = `${target}source: {accessCheck: pullSecrets}\n`;
const REFUSE = `${target}source: {directTarget: refuse}\n`;

describe('source.accessCheck', () => {
  it.each<readonly [string, string, readonly RegExp[]]>([
    [
      'is an error with Gatekeeper, with the reason',
      'policies: {engine: gatekeeper}\n',
      [/^\d+:\d+: source\.accessCheck: is pullSecrets, but policies\.engine is gatekeeper: .* sends only image names/],
    ],
    ['is fine with MutatingPolicies', 'policies: {engine: kyverno}\n', []],
    ['is fine with ClusterPolicies', 'policies: {engine: kyverno-clusterpolicy}\n', []],
    ['is fine with the webhook', 'policies: {engine: webhook}\n', []],
    ['is fine with policies from elsewhere', 'policies: {engine: none}\n', []],
    [
      "is an error where Gatekeeper's route is named",
      'server: {routes: [kyverno, gatekeeper]}\n',
      [/server\.routes: contains gatekeeper, but source\.accessCheck is pullSecrets/],
    ],
  ])('%s', (_, more, expected) => {
    const problems = problemsOf(`${CHECK}${more}`);
    expect(problems).toHaveLength(expected.length);
    expected.forEach((pattern, index) => expect(problems[index]).toMatch(pattern));
  });

  it('warns that no secret is read without the reader', () => {
    expect(warningsOf(parse(`${CHECK}secretReader: {enabled: false}\n`))).toEqual([
      expect.stringContaining("images that need a Pod's pull secret are never swapped"),
    ]);
  });
});

describe('source.directTarget: refuse', () => {
  it.each<readonly [string, string, boolean]>([
    ['needs an engine that refuses: the usual one does not', '', true],
    ['is an error with MutatingPolicies that fail open', 'policies: {engine: kyverno}\n', true],
    ['is an error with ClusterPolicies that fail open', 'policies: {engine: kyverno-clusterpolicy}\n', true],
    ['is an error with Gatekeeper', 'policies: {engine: gatekeeper}\n', true],
    ['is fine with policies that fail closed', 'policies: {engine: kyverno, failClosed: true}\n', false],
    ['is fine with the webhook', 'policies: {engine: webhook}\n', false],
    ['is fine with policies from elsewhere', 'policies: {engine: none}\n', false],
  ])('%s', (_, more, isError) => {
    const problems = problemsOf(`${REFUSE}${more}`);
    expect(problems.map((problem) => problem.includes('source.directTarget: is refuse'))).toEqual(
      isError ? [true] : [],
    );
  });
});
