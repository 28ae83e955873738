import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configHash, gatekeeperProfile } from '../../../../extension-service/src/core/policies/config-hash.js';
import { renderGatekeeper } from '../../../../extension-service/src/core/engines/gatekeeper/mutation.js';
import { gatekeeperFilters } from '../../../../extension-service/src/core/policies/pushdown/gatekeeper-match.js';
import type { GatekeeperFilters } from '../../../../extension-service/src/core/policies/pushdown/gatekeeper-match.js';
import { InvalidPolicyOptionError } from '../../../../extension-service/src/core/policies/problem.js';
import { pushDownFilters } from '../../../../extension-service/src/core/policies/pushdown/push-down.js';
import { crdProblems } from '../crd-schema.js';
import { CA, HTTPS } from '../example-options.js';
import { admittedPod, gatekeeperFilter } from './arbitraries.js';
import type { AdmittedPod } from './arbitraries.js';
import { holds } from '../../../../extension-service/src/core/policies/pushdown/holds.js';
import { isMatch, isPossible } from './matching.js';
import { cpuTimeOf } from '../../cpu-time.js';

const SKIP = { key: 'image-swapper.io/skip', operator: 'NotIn', values: ['true'] };

function matchesOf(filters: readonly string[]): GatekeeperFilters | undefined {
  try {
    return gatekeeperFilters(filters);
  } catch (error) {
    if (error instanceof InvalidPolicyOptionError) return undefined;
    throw error;
  }
}

function optedOut({ metadata }: AdmittedPod): boolean {
  const labels = metadata['labels'] as Readonly<Record<string, string>> | undefined;
  return labels?.['image-swapper.io/skip'] === 'true';
}

describe("filters in Gatekeeper's match", () => {
  it.each([
    ["obj.metadata.namespace == 'a'", { excludedNamespaces: ['a'], labels: [SKIP] }],
    ["obj.metadata.namespace != 'a'", { namespaces: ['a'], excludedNamespaces: [], labels: [SKIP] }],
    ["starts_with(obj.metadata.namespace, 'dev-')", { excludedNamespaces: ['dev-*'], labels: [SKIP] }],
    ["ends_with(obj.metadata.namespace, '-dev')", { excludedNamespaces: ['*-dev'], labels: [SKIP] }],
    ["contains(obj.metadata.namespace, 'x')", { excludedNamespaces: ['*x*'], labels: [SKIP] }],
    ['contains(`["a","b"]`, obj.metadata.namespace)', { excludedNamespaces: ['a', 'b'], labels: [SKIP] }],
    [
      "obj.metadata.labels.app == 'x' || obj.metadata.namespace == 'a'",
      { excludedNamespaces: ['a'], labels: [SKIP, { key: 'app', operator: 'NotIn', values: ['x'] }] },
    ],
    [
      "obj.metadata.labels.app != 'x'",
      { excludedNamespaces: [], labels: [SKIP, { key: 'app', operator: 'In', values: ['x'] }] },
    ],
    [
      'obj.metadata.labels.app != null',
      { excludedNamespaces: [], labels: [SKIP, { key: 'app', operator: 'DoesNotExist' }] },
    ],
  ])('%s', (filter, match) => {
    expect(gatekeeperFilters([filter])).toEqual({ matches: [match], matched: [0] });
  });

  it.each([
    [
      ["obj.metadata.namespace == 'a' && obj.metadata.labels.app == 'x'"],
      [
        { excludedNamespaces: ['a'], labels: [SKIP] },
        { excludedNamespaces: [], labels: [SKIP, { key: 'app', operator: 'NotIn', values: ['x'] }] },
      ],
    ],
    [
      ["!(obj.metadata.namespace != 'a' && obj.metadata.namespace != 'b')"],
      [{ excludedNamespaces: ['a', 'b'], labels: [SKIP] }],
    ],
    [
      ["obj.metadata.namespace != 'a' && obj.metadata.namespace != 'b'"],
      [{ namespaces: ['a', 'b'], excludedNamespaces: [], labels: [SKIP] }],
    ],
    // One mutator for each name would exceed the limit.
    [
      [Array.from({ length: 400 }, (_, i) => `obj.metadata.namespace != 'a${i}'`).join(' && ')],
      [{ namespaces: Array.from({ length: 400 }, (_, i) => `a${i}`), excludedNamespaces: [], labels: [SKIP] }],
    ],
    // Contradictory combinations do not match any Pod, so they are dropped.
    [
      ["obj.metadata.labels.a != '1' && obj.metadata.labels.b != '2'", "obj.metadata.labels.a != '3'"],
      [
        {
          excludedNamespaces: [],
          labels: [SKIP, { key: 'b', operator: 'In', values: ['2'] }, { key: 'a', operator: 'In', values: ['3'] }],
        },
      ],
    ],
    [
      ["obj.metadata.labels.a != '1' && obj.metadata.namespace == 'x'", "obj.metadata.labels.a == '1'"],
      [
        {
          excludedNamespaces: ['x'],
          labels: [SKIP, { key: 'a', operator: 'NotIn', values: ['1'] }],
        },
      ],
    ],
    [
      ["obj.metadata.labels.a != null && obj.metadata.namespace == 'x'", "obj.metadata.labels.a != '1'"],
      [{ excludedNamespaces: ['x'], labels: [SKIP, { key: 'a', operator: 'In', values: ['1'] }] }],
    ],
    [
      ["obj.metadata.labels.a != '1' && obj.metadata.namespace == 'x'", 'obj.metadata.labels.a != null'],
      [{ excludedNamespaces: ['x'], labels: [SKIP, { key: 'a', operator: 'DoesNotExist' }] }],
    ],
    [
      ["obj.metadata.labels.a == null && obj.metadata.namespace == 'x'", 'obj.metadata.labels.a != null'],
      [{ excludedNamespaces: ['x'], labels: [SKIP, { key: 'a', operator: 'DoesNotExist' }] }],
    ],
    [
      ['!contains(`["1", "2"]`, obj.metadata.labels.a)', "obj.metadata.labels.a == '1'"],
      [{ excludedNamespaces: [], labels: [SKIP, { key: 'a', operator: 'In', values: ['2'] }] }],
    ],
    [
      ["!starts_with(obj.metadata.namespace, 'dev-')", "!starts_with(obj.metadata.namespace, 'dev-')"],
      [{ namespaces: ['dev-*'], excludedNamespaces: [], labels: [SKIP] }],
    ],
    // Two of the four combinations are narrower than the others, so they are dropped.
    [
      [
        "obj.metadata.labels.a == '1' && obj.metadata.labels.b == '2'",
        "obj.metadata.labels.a == '1' && obj.metadata.labels.b == '2'",
      ],
      [
        { excludedNamespaces: [], labels: [SKIP, { key: 'a', operator: 'NotIn', values: ['1'] }] },
        { excludedNamespaces: [], labels: [SKIP, { key: 'b', operator: 'NotIn', values: ['2'] }] },
      ],
    ],
    // The intersection of both lists is one name.
    [
      ['!contains(`["a", "b"]`, obj.metadata.namespace)', "!starts_with(obj.metadata.namespace, 'a')"],
      [{ namespaces: ['a'], excludedNamespaces: [], labels: [SKIP] }],
    ],
    // No pattern expresses both conditions of the first row, and no Pod meets both conditions of the second.
    [["!starts_with(obj.metadata.namespace, 'a')", "!ends_with(obj.metadata.namespace, 'b')"], undefined],
    [["obj.metadata.namespace != 'a'", "obj.metadata.namespace != 'b'"], undefined],
    // 3 × 3 combinations exceed the limit.
    [
      [
        "obj.metadata.labels.a == '1' && obj.metadata.labels.b == '2' && obj.metadata.labels.c == '3'",
        "obj.metadata.labels.d == '1' && obj.metadata.labels.e == '2' && obj.metadata.labels.f == '3'",
      ],
      undefined,
    ],
  ])('%j needs a mutator for each combination in which no filter matches', (filters, matches) => {
    if (matches === undefined) expect(() => gatekeeperFilters(filters)).toThrow(/Gatekeeper cannot decide/);
    else expect(gatekeeperFilters(filters)).toEqual({ matches, matched: filters.map((_, index) => index) });
  });

  it('marks a set of mutators with its configuration, so that a leftover one has no effect', () => {
    const filters = ["obj.metadata.namespace == 'a' && obj.metadata.labels.app == 'x'"];
    const [provider, ...assigns] = renderGatekeeper({ url: HTTPS, caBundle: CA, filters, ephemeralContainers: true });
    expect(provider.metadata.name).toBe(`image-swapper-${configHash(filters, [])}`);
    expect(assigns.map(({ metadata }) => metadata.name)).toEqual([
      'zz-image-swapper-containers-1',
      'zz-image-swapper-containers-2',
      'zz-image-swapper-initcontainers-1',
      'zz-image-swapper-initcontainers-2',
      'zz-image-swapper-ephemeralcontainers-1',
      'zz-image-swapper-ephemeralcontainers-2',
      'zz-image-swapper-volumes-1',
      'zz-image-swapper-volumes-2',
    ]);
    for (const assign of assigns) {
      expect(assign.spec.parameters.assign.externalData.provider).toBe(provider.metadata.name);
      expect(crdProblems(assign)).toEqual([]);
    }
    const name = 'a'.repeat(39);
    expect(() => renderGatekeeper({ url: HTTPS, caBundle: CA, filters, name })).toThrow(/^name: /);
  });

  it('takes the same time per filter for many filters', () => {
    const filters = Array.from({ length: 6000 }, (_, i) => `obj.metadata.namespace == 'ns-${i}'`);
    const fastest = (work: () => unknown): number => Math.min(...Array.from({ length: 3 }, () => cpuTimeOf(work)));
    // Parsing the filters takes linear time.
    const reading = fastest(() => pushDownFilters(filters));
    expect(fastest(() => gatekeeperFilters(filters)) / reading).toBeLessThan(6);
  });

  it('matches exactly the Pods that no filter excludes, without impossible conditions', () => {
    const seen = { compared: 0, leftAlone: 0, several: 0, refused: 0 };
    fc.assert(
      fc.property(
        fc.array(gatekeeperFilter, { minLength: 1, maxLength: 3 }),
        fc.array(admittedPod, { minLength: 5, maxLength: 5 }),
        (filters, pods) => {
          const found = matchesOf(filters);
          if (found === undefined) {
            seen.refused += 1;
            return;
          }
          const { matches, matched } = found;
          for (const match of matches) expect(isPossible(match), JSON.stringify(match)).toBe(true);
          if (matches.length > 1) seen.several += 1;
          const decided = pushDownFilters(filters).pod.filter(({ index }) => matched.includes(index));
          for (const pod of pods) {
            const leftAlone = decided.some(({ predicate }) => holds(predicate, pod, {})) || optedOut(pod);
            expect(matches.some((match) => isMatch(match, pod.metadata))).toBe(!leftAlone);
            seen.compared += 1;
            if (leftAlone) seen.leftAlone += 1;
          }
        },
      ),
      { numRuns: 1000 },
    );
    // The test is meaningful only with enough cases of each kind.
    expect(seen.compared).toBeGreaterThan(1000);
    expect(seen.leftAlone).toBeGreaterThan(200);
    expect(seen.several).toBeGreaterThan(30);
  });

  it('leaves filters on the image to the service', () => {
    const filters = ["contains(container.image, 'ecr')", "obj.metadata.namespace == 'a'"];
    expect(gatekeeperFilters(filters).matched).toEqual([1]);
  });

  it.each([
    "obj.metadata.namespace == 'a' && obj.metadata.annotations.app == 'x'",
    "obj.metadata.annotations.skip == 'x'",
    "container.name == 'istio-proxy'",
    'obj.spec.hostNetwork',
    "starts_with(obj.metadata.labels.app, 'x')",
    "obj.metadata.labels.app == 'not a label value'",
    "obj.metadata.namespace != 'a' && `true` || obj.metadata.namespace != 'b'",
  ])('refuses %s with the choices and never drops it', (filter) => {
    expect(() =>
      renderGatekeeper({ url: HTTPS, caBundle: CA, filters: ["contains(container.image, 'x')", filter] }),
    ).toThrow(
      /^filters\[1\]: Gatekeeper cannot decide .*use only conditions on the namespace and labels, .*another engine/,
    );
  });

  it.each([
    [
      ["contains(obj.metadata.name, 'x')", "obj.metadata.namespace == 'a'"],
      /^filters\[0\]: .*"contains\(obj.metadata.name, 'x'\)": can raise an error: use only/,
    ],
    [
      ['nonsense(container.image)', "obj.metadata.namespace == 'a'"],
      /^filters\[1\]: .*: the earlier filter 1 can raise an error: use only/,
    ],
    [['obj.spec.hostNetwork'], /^filters\[0\]: .*: uses conditions that engines cannot evaluate: use only/],
    [["container.name == 'a'"], /^filters\[0\]: .*, which reads the container: use only/],
    [
      [Array.from({ length: 9 }, (_, i) => `obj.metadata.labels.a${i} == 'x'`).join(' && ')],
      /, which needs more than 8 mutators \(.*contains\(`\["a", "b"\]`, FIELD\) .*\): use only/,
    ],
    [
      [Array.from({ length: 600 }, (_, i) => `obj.metadata.labels.a${i} == 'x'`).join(' && ')],
      /, which needs more than 8 mutators /,
    ],
  ])('refuses %j with the reason', (filters, reason) => {
    expect(() => gatekeeperFilters(filters)).toThrow(reason);
  });

  it('names the decided filters in the URL of the service', () => {
    const filters = ["obj.metadata.namespace == 'a'"];
    const objects = renderGatekeeper({ url: HTTPS, caBundle: CA, filters });
    expect(objects[0].spec.url).toBe(`${HTTPS}/v1/gatekeeper/${gatekeeperProfile(filters)}`);
    for (const object of objects) {
      expect(object.metadata.annotations).toEqual({ 'image-swapper.io/config-hash': configHash(filters, []) });
      expect(crdProblems(object)).toEqual([]);
    }
    expect(() => renderGatekeeper({ url: HTTPS, caBundle: CA, filters, profile: 'eu' })).toThrow(/^profile: cannot/);
  });
});

describe('the hash of a configuration', () => {
  it('changes with filters, their order and targets, and accepts any text', () => {
    const hashes = [
      configHash([], []),
      configHash(['a', 'b'], []),
      configHash(['b', 'a'], []),
      configHash(['a'], ['b']),
      configHash(['añ😀'], []),
      configHash(['an😀'], []),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
    for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{12}$/);
  });
});
