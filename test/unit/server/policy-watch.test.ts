import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../../extension-service/src/telemetry/metrics.js';
import { PolicyWatch } from '../../../extension-service/src/server/policy-watch.js';

async function watch(hashes: readonly (string | undefined)[]) {
  const metrics = createMetrics();
  const told: unknown[] = [];
  const expected = { kyverno: 'aaa', webhook: 'aaa', gatekeeper: 'bbb' };
  const policies = new PolicyWatch(
    () => expected,
    metrics,
    { warn: (fields: unknown) => told.push(fields) } as never,
    () => false,
  );
  for (const hash of hashes) policies.observe('kyverno', hash);
  const { values } = await metrics.policyMismatches.get();
  return { counted: values.map(({ labels, value }) => ({ route: labels.route, value })), told };
}

describe('Gatekeeper where nothing can be decided', () => {
  it('is reported once per profile, with the expected one', () => {
    const told: unknown[] = [];
    const policies = new PolicyWatch(
      () => ({ kyverno: 'aaa', webhook: 'aaa', gatekeeper: 'bbb' }),
      createMetrics(),
      {
        warn: (fields: unknown) => told.push(fields),
      } as never,
      () => false,
    );
    for (const profile of [undefined, 'filters-x', undefined]) policies.cannotDecide(profile);
    expect(told).toEqual([
      { route: 'gatekeeper', profile: '', expected: 'filters-bbb' },
      { route: 'gatekeeper', profile: 'filters-x', expected: 'filters-bbb' },
    ]);
  });
});

describe('policies that were rendered for another configuration', () => {
  it('are counted each time and reported once', async () => {
    expect(await watch(['old', 'old', 'older', 'old'])).toEqual({
      counted: [{ route: 'kyverno', value: 4 }],
      told: [
        { route: 'kyverno', policy: 'old', expected: 'aaa' },
        { route: 'kyverno', policy: 'older', expected: 'aaa' },
      ],
    });
  });

  it('exclude matching policies and policies without a hash', async () => {
    expect(await watch(['aaa', undefined])).toEqual({ counted: [], told: [] });
  });

  it('cannot fill the log', async () => {
    const { counted, told } = await watch(Array.from({ length: 1000 }, (_, i) => `invented-${i}`));
    expect(counted).toEqual([{ route: 'kyverno', value: 1000 }]);
    expect(told).toHaveLength(20);
  });
});

describe('their remedy', () => {
  it.each([
    [false, /render and apply it again/, /render and apply its policies/],
    [
      true,
      /the leader applies the policies; .* the leader's log$/,
      /the leader applies the policies; .* the leader's log$/,
    ],
  ])('is named, with managed policies: %s', (managed, mismatch, undecided) => {
    const told: string[] = [];
    const policies = new PolicyWatch(
      () => ({ kyverno: 'aaa', webhook: 'aaa', gatekeeper: 'bbb' }),
      createMetrics(),
      { warn: (_: unknown, message: string) => told.push(message) } as never,
      () => managed,
    );
    policies.observe('webhook', 'old');
    policies.cannotDecide('filters-old');
    expect(told).toEqual([expect.stringMatching(mismatch), expect.stringMatching(undecided)]);
    if (managed) for (const message of told) expect(message).not.toContain('image-swapper policies');
  });
});
