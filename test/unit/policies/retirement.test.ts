import { describe, expect, it } from 'vitest';
import { ENGINE_NAMES } from '../../../extension-service/src/core/engines/names.js';
import { engineOf } from '../../../extension-service/src/core/engines/engines.js';
import { kyvernoVersionOf } from '../../../extension-service/src/core/engines/kyverno-clusterpolicy/retirement.js';

describe('the version of Kyverno', () => {
  it.each([
    ['reg.kyverno.io/kyverno/kyverno:v1.19.1', [1, 19]],
    ['kyverno:1.20.0', [1, 20]],
    ['127.0.0.1:5000/kyverno:v1.20.0-rc.1', [1, 20]],
    [`kyverno:v1.21.3@sha256:${'0'.repeat(64)}`, [1, 21]],
    ['127.0.0.1:5000/kyverno:latest', undefined],
    [`127.0.0.1:5000/kyverno@sha256:${'1'.repeat(64)}`, undefined],
    ['kyverno:v1', undefined],
    ['', undefined],
  ])('in the image %s is %j', (image, version) => {
    expect(kyvernoVersionOf(image)).toEqual(version);
  });
});

describe('the retirement of ClusterPolicy', () => {
  const judge = (version: readonly [number, number] | undefined) =>
    engineOf({ engine: 'kyverno-clusterpolicy' })?.retirement?.judge(version);

  it.each<readonly [readonly [number, number] | undefined, boolean, string]>([
    [undefined, false, 'while one exists: before that, set policies.engine: kyverno'],
    [[1, 17], false, 'this cluster has Kyverno 1.17: upgrade it to 1.19, then set policies.engine: kyverno'],
    [[1, 18], false, 'this cluster has Kyverno 1.18: before you upgrade it, set policies.engine: kyverno'],
    [[1, 19], false, 'this cluster has Kyverno 1.19: before you upgrade it, set policies.engine: kyverno'],
    [[1, 20], true, 'this cluster has Kyverno 1.20, which refuses to create or change a ClusterPolicy'],
    [[2, 0], true, 'this cluster has Kyverno 2.0, which refuses'],
  ])('with Kyverno %j: refused %j', (version, isRefused, message) => {
    expect(judge(version)).toEqual({ isRefused, message: expect.stringContaining(message) as string });
  });

  it('does not affect other engines', () => {
    expect(ENGINE_NAMES.filter((name) => engineOf({ engine: name })?.retirement !== undefined)).toEqual([
      'kyverno-clusterpolicy',
    ]);
  });
});
