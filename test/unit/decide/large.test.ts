import { describe, expect, it } from 'vitest';
import { MAX_CONTAINERS, decide } from '../../../extension-service/src/core/decide/decide.js';
import { explainDecisions } from '../../../extension-service/src/core/decide/explain.js';
import { imagePullSecretNames } from '../../../extension-service/src/core/decide/pod.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import { rulesOf } from './rules-of.js';

const input = (pod: JsonObject) => ({ pod, namespace: 'team-a', operation: 'CREATE' });
const podOf = (count: number, more: JsonObject = {}): JsonObject => ({
  spec: { containers: Array.from({ length: count }, (_, n) => ({ name: `c${n}`, image: `quay.io/x/a${n}`, ...more })) },
});

describe('a Pod that is oversized', () => {
  it('keeps its images unevaluated when it has too many containers', () => {
    const rules = rulesOf({}, 'nope(container)');
    const decisions = decide(rules, input(podOf(MAX_CONTAINERS + 1)));
    expect(decisions).toHaveLength(MAX_CONTAINERS);
    for (const decision of decisions)
      expect(decision).toMatchObject({ action: 'keep', reason: 'too-large', warnings: [] });
    expect(decide(rules, input(podOf(MAX_CONTAINERS))).every(({ action }) => action === 'mirror')).toBe(true);
  });

  it('keeps its images when the filters would take too much work on it', () => {
    // For each container, this filter reads the variables of all containers. The Pod below needs 100 million reads.
    const rules = rulesOf({}, "contains(obj.spec.containers[].env[].name, 'x')");
    const env = (count: number): JsonObject => ({ env: Array.from({ length: count }, (_, n) => ({ name: `N${n}` })) });
    const decisions = decide(rules, input(podOf(MAX_CONTAINERS, env(400))));
    expect(decisions).toHaveLength(MAX_CONTAINERS);
    for (const decision of decisions) expect(decision).toMatchObject({ action: 'keep', reason: 'too-large' });
    expect(decide(rules, input(podOf(20, env(100)))).every(({ action }) => action === 'mirror')).toBe(true);
  });

  it('is explained up to a limit', () => {
    const rules = rulesOf({}, "contains(obj.spec.containers[].env[].name, 'x')", "container.name == 'c0'");
    const pod = podOf(100, { env: Array.from({ length: 60 }, (_, n) => ({ name: `N${n}` })) });
    const explained = explainDecisions(rules, input(pod));
    expect(explained.map(({ explanation }) => explanation.action)).toEqual(
      Array.from({ length: 100 }, (_, n) => (n === 0 ? 'keep' : 'mirror')),
    );
    const [tooLarge] = explainDecisions(rules, input(podOf(MAX_CONTAINERS + 1)));
    expect(tooLarge?.explanation).toMatchObject({ reason: 'too-large', filters: [] });
    expect(tooLarge?.explanation.detail).toContain('501 containers');
  });

  it('uses a bounded number of pull secrets', () => {
    const imagePullSecrets = Array.from({ length: 10_000 }, (_, n) => ({ name: `s${n}` }));
    expect(imagePullSecretNames({ spec: { imagePullSecrets } })).toHaveLength(50);
  });
});
