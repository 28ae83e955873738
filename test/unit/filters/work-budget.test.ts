import { describe, expect, it } from 'vitest';
import { compileFilter } from '../../../extension-service/src/core/filters/compile.js';
import { WorkBudget, WorkBudgetError, withinBudget } from '../../../extension-service/src/core/filters/work-budget.js';

const WORK_BUDGET_MESSAGE = 'the expressions take too much work on an object of this size';

function evaluate(expression: string, obj: unknown = {}): unknown {
  const { filter } = compileFilter(expression, 0);
  if (filter === undefined) throw new Error(`${expression} does not compile`);
  return filter.evaluate({ obj, container: {} });
}

describe('expressions whose cost doubles with each part', () => {
  const doubled = '[@, @]'.repeat(1);
  const pipes = (part: string, count: number): string => Array.from({ length: count }, () => part).join(' | ');
  it.each([
    ['lists of lists', `${pipes('[@, @][]', 60)} | length(@) > \`1\``],
    ['texts', `'ab' | ${pipes("join('', [@, @])", 60)} | length(@) > \`1\``],
    ['shared parts as text', `${pipes(doubled, 60)} | to_string(@) == ''`],
    ['comparison of shared parts', `[(${pipes(doubled, 60)}), ([@] | [0] | ${pipes(doubled, 60)})] | [0] == [1]`],
    ['projections in projections', `[@, @] | ${pipes('map(&[@, @], @)[][]', 60)} | length(@) > \`1\``],
  ])('%s: end with an error before memory runs out', (_, expression) => {
    expect(evaluate(expression)).toEqual({ kind: 'error', message: WORK_BUDGET_MESSAGE });
  });
});

describe('an expression that walks a large Pod', () => {
  const env = Array.from({ length: 3_000 }, (_, n) => ({ name: `N${n}`, value: 'v' }));
  const obj = { spec: { containers: [{ name: 'app', image: 'nginx', env }] } };

  it('is allowed to do so once', () => {
    expect(evaluate("contains(obj.spec.containers[].env[].name, 'N2999')", obj)).toEqual({
      kind: 'value',
      value: true,
    });
  });

  it('is rejected when it does so for each nested element', () => {
    const nested = 'obj.spec.containers[0].env | [].[to_string(@), @] | map(&[@, @], [@, @][][]) | [][][][][]';
    const times = Array.from({ length: 10 }, () => nested).join(' && ');
    expect(evaluate(`(${times}) && \`true\``, { spec: { containers: [{ env: Array(60_000).fill(env[0]) }] } })).toEqual(
      {
        kind: 'error',
        message: WORK_BUDGET_MESSAGE,
      },
    );
  });

  it('is counted together with others in a shared budget', () => {
    const count = (): unknown => evaluate("contains(obj.spec.containers[].env[].name, 'x')", obj);
    const budget = new WorkBudget(20_000);
    expect(withinBudget(count, budget)).toEqual({ kind: 'value', value: false });
    expect(budget.left).toBeLessThan(20_000);
    expect(() => withinBudget(() => [count(), count(), count(), count()], budget)).toThrow(WorkBudgetError);
    // After withinBudget() returns, evaluations are no longer counted together.
    expect(Array.from({ length: 300 }, count)).toHaveLength(300);
  });
});
