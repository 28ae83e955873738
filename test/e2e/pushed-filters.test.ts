import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { renderGatekeeper } from '../../extension-service/src/core/engines/gatekeeper/mutation.js';
import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';
import { celOf } from '../../extension-service/src/core/policies/pushdown/cel.js';
import { gatekeeperFilters } from '../../extension-service/src/core/policies/pushdown/gatekeeper-match.js';
import { kyvernoJmespathOf } from '../../extension-service/src/core/policies/pushdown/jmespath.js';
import { pushDownFilters } from '../../extension-service/src/core/policies/pushdown/push-down.js';
import type { PushedFilter } from '../../extension-service/src/core/policies/pushdown/push-down.js';
import { OPTED_OUT } from '../../extension-service/src/core/policies/pushdown/opted-out.js';
import { evaluateCel } from '../tools/cel.js';
import { gatekeeperMatches } from '../tools/gatekeeper-match.js';
import { goToolsAvailable } from '../tools/tool.js';
import { CA } from '../unit/policies/example-options.js';
import { admittedPod, filterExpression, gatekeeperFilter } from '../unit/policies/pushdown/arbitraries.js';
import type { AdmittedPod } from '../unit/policies/pushdown/arbitraries.js';
import { holds } from '../../extension-service/src/core/policies/pushdown/holds.js';
import { KyvernoCli } from './kyverno.js';

const available = await goToolsAvailable("filters in the engines' own languages");
const SEED = Number(process.env['FILTERS_SEED'] ?? Date.now() % 2 ** 31);

/**
 * A unit test checks that a predicate is equivalent to its filter; this checks that each engine's expression is
 * equivalent to the predicate.
 */
describe.skipIf(!available)("filters in the engines' own languages", () => {
  it('CEL returns the result of the filter and never an error', async () => {
    const cases = generated(4000);
    const answers = await evaluateCel(
      cases.map(({ filter, pod, container }) => ({
        expression: celOf(filter.predicate, 'filters'),
        variables: { object: pod, c: container },
      })),
    );
    const differences = cases.flatMap(({ filter, pod, container }, i) => {
      const expected = holds(filter.predicate, pod, container);
      return answers[i]?.value === expected ? [] : [{ filter: filter.expression, pod, container, answer: answers[i] }];
    });
    expect(differences.slice(0, 3), `FILTERS_SEED=${SEED} repeats this`).toEqual([]);
    const trueOnes = cases.filter(({ filter, pod, container }) => holds(filter.predicate, pod, container)).length;
    expect(trueOnes).toBeGreaterThan(400);
  });

  it('detects a Pod that opted out', async () => {
    const skip = { 'image-swapper.io/skip': 'true' };
    const pods = [{ labels: skip }, { annotations: skip }, { labels: { ...skip, 'image-swapper.io/skip': 'yes' } }, {}];
    const expression = celOf(OPTED_OUT, 'filters');
    const answers = await evaluateCel(
      pods.map((metadata) => ({ expression, variables: { object: { metadata, spec: {} } } })),
    );
    expect(answers.map(({ value }) => value)).toEqual([true, true, false, false]);
  });

  describe("Kyverno's JMESPath", () => {
    let kyverno: KyvernoCli;
    beforeAll(async () => {
      kyverno = await KyvernoCli.build();
    });

    it('returns the result of the filter and never an error', async () => {
      const cases = generated(3000).filter(({ filter }) => !/container/.test(filter.expression));
      // One process evaluates many filters over one Pod.
      const byPod = new Map<AdmittedPod, Case[]>();
      for (const one of cases) byPod.set(one.pod, [...(byPod.get(one.pod) ?? []), one]);
      const batches = [...byPod].slice(0, 40);
      let compared = 0;
      for (const [pod, ofPod] of batches) {
        const filters = ofPod.map(({ filter }) => filter);
        const query = `[${filters.map(({ predicate }) => kyvernoJmespathOf(predicate, 'filters')).join(', ')}]`;
        const values = await kyverno.query(query, { request: { object: pod } });
        const expected = filters.map(({ predicate }) => holds(predicate, pod, {}));
        expect(values, `FILTERS_SEED=${SEED} ${filters.map(({ expression }) => expression).join(' ; ')}`).toEqual(
          expected,
        );
        compared += filters.length;
      }
      expect(compared).toBeGreaterThan(200);
    });

    it('returns the result over a list of containers, one of them without a name', async () => {
      const filters = [
        "container.name == 'a'",
        "container.name != 'a'",
        "container.name && starts_with(container.name, 'a')",
        "contains(container.image, 'nginx')",
        'contains(`["a", "b"]`, container.name) || ends_with(container.image, \':1\')',
      ];
      const containers = [{ name: 'a', image: 'x' }, { name: 'ab', image: 'nginx:1' }, { image: 'y:2' }];
      const { container: pushed } = pushDownFilters(filters);
      expect(pushed).toHaveLength(filters.length);
      for (const { predicate, expression } of pushed) {
        const query = `containers[?${kyvernoJmespathOf(predicate, 'filters')}]`;
        const expected = containers.filter((container) => holds(predicate, {}, container));
        expect(await kyverno.query(query, { containers }), expression).toEqual(expected);
      }
    });
  });
});

describe.skipIf(!available)("filters in Gatekeeper's match", () => {
  it('match exactly the Pods that no filter excludes', async () => {
    const pods = fc.sample(admittedPod, { numRuns: 200, seed: SEED });
    const lists = fc.sample(fc.array(gatekeeperFilter, { minLength: 1, maxLength: 3 }), { numRuns: 3000, seed: SEED });
    const cases = lists.flatMap((filters, i) => {
      const pod = pods[i % pods.length];
      const matches = matchesOf(filters);
      return matches === undefined || pod === undefined ? [] : [{ filters, matches, pod }];
    });
    const questions = cases.flatMap(({ matches, pod }, i) =>
      matches.map((match) => ({ i, match, pod: { apiVersion: 'v1', kind: 'Pod', ...pod } })),
    );
    const each = await gatekeeperMatches(questions.map(({ match, pod }) => ({ match, pod })));
    expect(each).not.toContain(null);
    // One matching mutator is enough.
    const answers = cases.map(() => false);
    questions.forEach(({ i }, place) => (answers[i] ||= each[place] === true));
    // The service evaluates filters that read only images.
    const leftAlone = ({ filters, pod }: (typeof cases)[number]): boolean => {
      const { matched } = gatekeeperFilters(filters);
      return pushDownFilters(filters).pod.some(
        ({ index, predicate }) => matched.includes(index) && holds(predicate, pod, {}),
      );
    };
    const differences = cases.filter((one, i) => answers[i] !== !leftAlone(one));
    expect(
      differences.slice(0, 3).map((one) => JSON.stringify(one)),
      `FILTERS_SEED=${SEED} repeats this`,
    ).toEqual([]);
    expect(cases.length).toBeGreaterThan(500);
    expect(cases.filter(leftAlone).length).toBeGreaterThan(100);
    const several = cases.filter(({ matches }) => matches.length > 1);
    expect(several.length).toBeGreaterThan(100);
    expect(several.filter(leftAlone).length).toBeGreaterThan(10);
  });
});

function matchesOf(filters: readonly string[]): readonly unknown[] | undefined {
  try {
    const [, ...assigns] = renderGatekeeper({ url: 'https://swapper.example.com', caBundle: CA, filters });
    const ofContainers = assigns.filter(({ spec }) => spec.location.startsWith('spec.containers'));
    // The policy's own namespaces, which the filters do not mention.
    const { matches } = gatekeeperFilters(filters);
    return ofContainers.map(({ spec }, i) => ({
      ...spec.match,
      excludedNamespaces: matches[i]?.excludedNamespaces ?? [],
    }));
  } catch (error) {
    if (error instanceof InvalidPolicyOptionError) return undefined;
    throw error;
  }
}

interface Case {
  readonly filter: PushedFilter;
  readonly pod: AdmittedPod;
  readonly container: unknown;
}

/** Filters that are pushed down, each with some Pods. There are few Pods, so that one can be sent with many filters. */
function generated(count: number): readonly Case[] {
  const pods = fc.sample(admittedPod, { numRuns: 50, seed: SEED });
  const expressions = fc.sample(filterExpression, { numRuns: count, seed: SEED });
  return expressions.flatMap((expression, i) => {
    const { pod: ofPod, container: ofContainer } = pushDownFilters([expression]);
    const pod = pods[i % pods.length];
    if (pod === undefined) return [];
    return [...ofPod, ...ofContainer].map((filter) => ({ filter, pod, container: pod.spec.containers[0] }));
  });
}
