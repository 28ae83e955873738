import { describe, expect, it } from 'vitest';
import type { EcrOptions } from '../../../../extension-service/src/kinds/aws/config.js';
import { isImmutableTag } from '../../../../extension-service/src/kinds/aws/mutability.js';
import { canonicalJson, desiredPolicies } from '../../../../extension-service/src/kinds/aws/policies.js';
import { awsConfig, defaultEcrOptions } from './config.js';

const withPolicies = (policies: Partial<EcrOptions>) =>
  desiredPolicies(awsConfig({ ecrOptions: { ...defaultEcrOptions, ...policies } }));

describe('the hash of the configured policies', () => {
  const accessPolicy = '{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Action":["a","b"]}]}';
  const lifecyclePolicy = '{"rules":[]}';

  it('is absent without policies, so that nothing is changed', () => {
    expect(withPolicies({})).toBeUndefined();
  });

  it('is the same for the same JSON in another layout', () => {
    const spread = '{\n  "Statement": [{"Action": ["a", "b"], "Effect": "Allow"}],\n  "Version": "2008-10-17"\n}';
    expect(withPolicies({ accessPolicy: spread })?.hash).toBe(withPolicies({ accessPolicy })?.hash);
  });

  it.each<[string, Partial<EcrOptions>]>([
    ['another access policy', { accessPolicy: accessPolicy.replace('Allow', 'Deny'), lifecyclePolicy }],
    ['another order of a list', { accessPolicy: accessPolicy.replace('"a","b"', '"b","a"'), lifecyclePolicy }],
    ['a lifecycle policy less', { accessPolicy }],
    ['an access policy less', { lifecyclePolicy }],
    ['the two exchanged', { accessPolicy: lifecyclePolicy, lifecyclePolicy: accessPolicy }],
  ])('differs for %s', (_, other) => {
    expect(withPolicies(other)?.hash).not.toBe(withPolicies({ accessPolicy, lifecyclePolicy })?.hash);
  });

  it('is a valid value of an ECR tag', () => {
    expect(withPolicies({ accessPolicy })?.hash).toMatch(/^[0-9a-f]{32}$/);
  });

  it('handles numbers and nesting exactly', () => {
    expect(canonicalJson('{"b":[{"d":1,"c":null}],"a":"x"}')).toBe('{"a":"x","b":[{"c":null,"d":1}]}');
  });
});

describe('mutability of tags', () => {
  const filters = (...all: string[]) => all.map((filter) => ({ filterType: 'WILDCARD' as const, filter }));

  it.each<[EcrOptions['imageTagMutability'], string[], string, boolean]>([
    ['MUTABLE', [], 'latest', false],
    ['IMMUTABLE', [], 'latest', true],
    ['IMMUTABLE_WITH_EXCLUSION', ['latest'], 'latest', false],
    ['IMMUTABLE_WITH_EXCLUSION', ['latest'], 'latest-1', true],
    ['IMMUTABLE_WITH_EXCLUSION', ['dev-*', 'v*.x'], 'dev-7', false],
    ['IMMUTABLE_WITH_EXCLUSION', ['dev-*', 'v*.x'], 'v1.x', false],
    ['IMMUTABLE_WITH_EXCLUSION', ['v*.x'], 'v1ax', true],
    ['MUTABLE_WITH_EXCLUSION', ['v*'], 'v1', true],
    ['MUTABLE_WITH_EXCLUSION', ['v*'], 'latest', false],
  ])('%s without %j: %s', (imageTagMutability, excluded, tag, immutable) => {
    const options = {
      ...defaultEcrOptions,
      imageTagMutability,
      imageTagMutabilityExclusionFilters: filters(...excluded),
    };
    expect(isImmutableTag(options, tag)).toBe(immutable);
  });
});
