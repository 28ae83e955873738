import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filterObject } from '../../../../extension-service/src/core/decide/pod.js';
import { compileFilter } from '../../../../extension-service/src/core/filters/compile.js';
import { parseExpression } from '../../../../extension-service/src/core/filters/parse.js';
import { celOf } from '../../../../extension-service/src/core/policies/pushdown/cel.js';
import { possiblyTrue } from '../../../../extension-service/src/core/policies/pushdown/possible.js';
import { translate } from '../../../../extension-service/src/core/policies/pushdown/translate.js';
import { admittedPod, filterExpression } from './arbitraries.js';
import { holds } from '../../../../extension-service/src/core/policies/pushdown/holds.js';

const cel = (expression: string): string => celOf(possiblyTrue(parseExpression(expression)), 'filters[0]');
const IN_PLAY = '(has(object.metadata.namespace) && object.metadata.namespace == "play")';

describe('Pods for which a filter can be true', () => {
  it.each([
    ['obj.spec.hostNetwork', 'true'],
    ['length(obj.spec.containers) > `2`', 'true'],
    ['nonsense(obj)', 'true'],
    ["obj.metadata.namespace == '{{'", 'true'],
    ["obj.metadata.namespace == 'play'", IN_PLAY],
    ["obj.metadata.namespace == 'play' && obj.spec.hostNetwork", IN_PLAY],
    ["obj.spec.hostNetwork && obj.metadata.namespace == 'play'", IN_PLAY],
    ["obj.metadata.namespace == 'play' && !(obj.spec.hostNetwork)", IN_PLAY],
    ["obj.metadata.namespace == 'play' || obj.spec.hostNetwork", 'true'],
    ["!(obj.metadata.namespace == 'play' || obj.spec.hostNetwork)", `!${IN_PLAY}`],
    ["!(obj.metadata.namespace == 'play' && obj.spec.hostNetwork)", 'true'],
    ["starts_with(obj.metadata.name, 'a')", '(has(object.metadata.name) && object.metadata.name.startsWith("a"))'],
    ["!starts_with(obj.metadata.name, 'a')", '!(has(object.metadata.name) && object.metadata.name.startsWith("a"))'],
    [
      "obj.metadata.namespace == 'play' && contains(container.name, 'x') && obj.spec.hostNetwork",
      `(${IN_PLAY} && (has(c.name) && c.name.contains("x")))`,
    ],
    ['`false` && obj.spec.hostNetwork', 'false'],
  ])('%s', (expression, expected) => {
    expect(cel(expression)).toBe(expected);
  });

  it('include each Pod for which it is true, and are exact for a filter that CEL can evaluate', () => {
    let [trueOnes, undecided, excluded] = [0, 0, 0];
    fc.assert(
      fc.property(filterExpression, admittedPod, (expression, pod) => {
        const node = parseExpression(expression);
        const predicate = possiblyTrue(node);
        const exact = translate(node);
        if (exact === undefined) undecided += 1;
        const { filter } = compileFilter(expression, 0);
        const obj = filterObject(pod as never, pod.metadata.namespace);
        for (const container of pod.spec.containers) {
          const result = filter?.evaluate({ obj, container });
          const isTrue = result?.kind === 'value' && result.value === true;
          const isPossible = holds(predicate, pod, container);
          if (isTrue) expect(isPossible).toBe(true);
          if (isTrue) trueOnes += 1;
          if (exact === undefined && !isPossible) excluded += 1;
        }
      }),
      { numRuns: 3_000 },
    );
    expect(trueOnes).toBeGreaterThan(300);
    // The bound is worth something: it excludes Pods for filters that CEL cannot decide.
    expect(undecided).toBeGreaterThan(300);
    expect(excluded).toBeGreaterThan(100);
  });
});
