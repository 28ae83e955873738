import { describe, expect, it } from 'vitest';
import { parse, parseLegacy, problemsOf, target, warningsOf } from './parsing.js';

describe('a wait for copies that is longer than the API server waits', () => {
  const refusal =
    'imageCopyDeadline: is longer than 28s, but imageCopyPolicy immediate or force waits this long, and the API server gives a webhook at most 30s: set 28s or less';
  const immediate = 'imageCopyPolicy: immediate\n';
  it.each<readonly [string, string, readonly string[]]>([
    ['is refused', `${target}${immediate}imageCopyDeadline: 28001ms\n`, [`3:20: ${refusal}`]],
    [
      'is refused where one target waits',
      'target: {imageCopyPolicy: force, oci: {registry: a.example}}\nimageCopyDeadline: 1m\n',
      [`2:20: ${refusal}`],
    ],
    ['is fine up to that', `${target}${immediate}imageCopyDeadline: 28s\n`, []],
    ['is absent when nothing waits', `${target}imageCopyDeadline: 1m\n`, []],
    [
      'is absent when every target overrides it',
      `target: {imageCopyPolicy: delayed, oci: {registry: a.example}}\n${immediate}imageCopyDeadline: 1m\n`,
      [],
    ],
    [
      'causes no problem under Gatekeeper',
      `${target}${immediate}imageCopyDeadline: 1m\npolicies: {engine: gatekeeper}\n`,
      [],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });

  it('is a warning in the k8s-image-swapper dialect', () => {
    const text = 'target: {type: aws, aws: {accountId: "123456789012", region: eu-central-1}}\n';
    expect(warningsOf(parseLegacy(`${text}${immediate}imageCopyDeadline: 1m\n`))).toContain(`3:20: ${refusal}`);
  });
});

describe('imageCopyFailure: deny', () => {
  const deny = 'imageCopyFailure: deny\nimageCopyPolicy: immediate\n';
  const warning = (engine: string): string =>
    `2:19: imageCopyFailure: has no effect, because policies.engine is ${engine}, which treats a refusal as a failure of the service, and policies.failClosed is false: the Pod is admitted: set policies.failClosed: true, or policies.engine: webhook`;
  it.each<readonly [string, string, readonly string[]]>([
    ['does nothing with the usual engine', '', [warning('kyverno')]],
    ['does nothing with MutatingPolicies', 'policies: {engine: kyverno}\n', [warning('kyverno')]],
    [
      'does nothing with ClusterPolicies',
      'policies: {engine: kyverno-clusterpolicy, failClosed: false}\n',
      [warning('kyverno-clusterpolicy')],
    ],
    ['works where these fail closed', 'policies: {engine: kyverno, failClosed: true}\n', []],
    ['works with the webhook', 'policies: {engine: webhook}\n', []],
    ['is not judged with policies from elsewhere', 'policies: {engine: none}\n', []],
  ])('%s', (_, policies, expected) => {
    expect(warningsOf(parse(`${target}${deny}${policies}`))).toEqual(expected);
  });

  it('is reported once when nothing waits', () => {
    expect(warningsOf(parse(`${target}imageCopyFailure: deny\n`))).toEqual([
      expect.stringContaining('nothing waits for a copy'),
    ]);
  });
});
