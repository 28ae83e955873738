import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filterObject } from '../../../../extension-service/src/core/decide/pod.js';
import { compileFilter } from '../../../../extension-service/src/core/filters/compile.js';
import type { Filter } from '../../../../extension-service/src/core/filters/compile.js';
import { matchFilters } from '../../../../extension-service/src/core/filters/match.js';
import { celOf } from '../../../../extension-service/src/core/policies/pushdown/cel.js';
import { pushDownFilters } from '../../../../extension-service/src/core/policies/pushdown/push-down.js';
import { admittedPod, filterExpression, gatekeeperFilter } from './arbitraries.js';
import { holds } from '../../../../extension-service/src/core/policies/pushdown/holds.js';

function compiled(expression: string, index = 0): Filter {
  const { filter } = compileFilter(expression, index);
  if (filter === undefined) throw new Error(expression);
  return filter;
}

const cel = (expression: string): string | undefined => {
  const { pod, container } = pushDownFilters([expression]);
  const [pushed] = [...pod, ...container];
  return pushed === undefined ? undefined : celOf(pushed.predicate, 'filters[0]');
};

describe('filters that engines evaluate', () => {
  it.each([
    [
      "obj.metadata.namespace == 'kube-system'",
      '(has(object.metadata.namespace) && object.metadata.namespace == "kube-system")',
    ],
    [
      "obj.metadata.namespace != 'playground'",
      '!(has(object.metadata.namespace) && object.metadata.namespace == "playground")',
    ],
    [
      "starts_with(obj.metadata.namespace, 'dev-')",
      '(has(object.metadata.namespace) && object.metadata.namespace.startsWith("dev-"))',
    ],
    [
      "ends_with(obj.metadata.namespace, '-dev')",
      '(has(object.metadata.namespace) && object.metadata.namespace.endsWith("-dev"))',
    ],
    [
      "contains(obj.metadata.namespace, 'x')",
      '(has(object.metadata.namespace) && object.metadata.namespace.contains("x"))',
    ],
    [
      'contains(`["a","b"]`, obj.metadata.namespace)',
      '(has(object.metadata.namespace) && object.metadata.namespace in ["a", "b"])',
    ],
    ["container.name == 'istio-proxy'", '(has(c.name) && c.name == "istio-proxy")'],
    ["contains(container.image, '.dkr.ecr.')", '(has(c.image) && c.image.contains(".dkr.ecr."))'],
    [
      'obj.metadata.labels."a/b" == \'x\'',
      '((has(object.metadata.labels) && "a/b" in object.metadata.labels) && object.metadata.labels["a/b"] == "x")',
    ],
    [
      'obj.metadata.annotations.skip != null',
      '(has(object.metadata.annotations) && "skip" in object.metadata.annotations)',
    ],
  ])('%s', (expression, expected) => {
    expect(cel(expression)).toBe(expected);
  });

  it.each(['&&', '||'])('render many != with %s between them once each', (operator) => {
    const names = Array.from({ length: 400 }, (_, i) => `n${i}`);
    const each = names.map((name) => cel(`obj.metadata.namespace != '${name}'`));
    const all = cel(names.map((name) => `obj.metadata.namespace != '${name}'`).join(` ${operator} `));
    expect(all).toBe(`(${each.join(` ${operator} `)})`);
  });

  it.each([
    ['obj.metadata.labels.app', 'returns a string, never true', 'false'],
    ["'text'", 'is a text', 'false'],
    ['`true`', 'is true', 'true'],
  ])('%s %s', (expression, _why, expected) => {
    expect(cel(expression)).toBe(expected);
  });

  it.each([
    ["starts_with(obj.metadata.name, 'a')", 'can raise an error'],
    ["starts_with(obj.metadata.labels.app, 'a')", 'can raise an error'],
    ["obj.metadata.labels.app || starts_with(obj.metadata.labels.app, 'a')", 'can raise an error'],
    ['nonsense(obj)', 'can raise an error'],
    ['obj.spec.hostNetwork', 'uses conditions that engines cannot evaluate'],
    ['obj.spec.priority > `1`', 'uses conditions that engines cannot evaluate'],
    ["obj.metadata.namespace == 'a\\\\b'", 'contains a character that policies cannot express'],
    ["obj.metadata.namespace == '{{'", 'contains a character that policies cannot express'],
  ])('%s stays with the service: it %s', (expression, why) => {
    const { pod, container, kept } = pushDownFilters([expression]);
    expect({ pod, container, kept }).toEqual({ pod: [], container: [], kept: [{ expression, index: 0, why }] });
  });

  it('are evaluated when a guard prevents an error', () => {
    for (const guarded of [
      "obj.metadata.labels.app && starts_with(obj.metadata.labels.app, 'a')",
      "obj.metadata.labels.app != null && starts_with(obj.metadata.labels.app, 'a')",
      "!(!(obj.metadata.labels.app) || !starts_with(obj.metadata.labels.app, 'a'))",
      "obj.metadata.labels.app == null || starts_with(obj.metadata.labels.app, 'a')",
    ]) {
      expect(cel(guarded)).toContain('.startsWith("a")');
    }
  });

  it('are not evaluated after a filter that can raise an error, but after any other filter', () => {
    const last = "obj.metadata.namespace == 'a'";
    expect(pushDownFilters(["contains(obj.metadata.name, 'x')", last]).pod).toEqual([]);
    expect(pushDownFilters(['obj.spec.hostNetwork', last]).pod.map(({ index }) => index)).toEqual([1]);
    expect(
      pushDownFilters(['obj.spec.volumes[0].name', last, 'nonsense(`1`)', last]).pod.map(({ index }) => index),
    ).toEqual([1]);
  });

  it('are equivalent to the original filters for every Pod that the API server admits', () => {
    let pushedTrue = 0;
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 3, arbitrary: filterExpression }, gatekeeperFilter), {
          minLength: 1,
          maxLength: 4,
        }),
        admittedPod,
        (expressions, pod) => {
          const filters = expressions.map(compiled);
          const { pod: ofPod, container: ofContainer } = pushDownFilters(expressions);
          const obj = filterObject(pod as never, pod.metadata.namespace);
          for (const container of pod.spec.containers) {
            for (const { index, predicate } of [...ofPod, ...ofContainer]) {
              const results = filters.slice(0, index + 1).map((filter) => filter.evaluate({ obj, container }));
              expect(results.every(({ kind }) => kind === 'value')).toBe(true);
              const [last] = results.slice(-1);
              const decided = holds(predicate, pod, container);
              expect(decided).toBe(last?.kind === 'value' && last.value === true);
              if (!decided) continue;
              pushedTrue += 1;
              expect(matchFilters(filters, { obj, container }).skip).toBe(true);
            }
          }
        },
      ),
      { numRuns: 1500 },
    );
    // The test is meaningful only if enough pushed-down filters are true.
    expect(pushedTrue).toBeGreaterThan(300);
  });
});
