import { describe, expect, it } from 'vitest';
import { LineBudget } from '../../../extension-service/src/util/line-budget.js';

function start() {
  let now = 0;
  const lines = new LineBudget({ burst: 3, perSecond: 1 }, { burst: 5, perSecond: 2 }, () => now);
  return { lines, wait: (milliseconds: number) => void (now += milliseconds) };
}
const takes = (lines: LineBudget, key: string, times: number): (number | undefined)[] =>
  Array.from({ length: times }, () => lines.take(key));

describe('the log line budget', () => {
  it('writes a burst, then a fixed rate per second, with the number of dropped lines', () => {
    const { lines, wait } = start();
    expect(takes(lines, 'a', 5)).toEqual([0, 0, 0, undefined, undefined]);
    wait(1_000);
    expect(takes(lines, 'a', 2)).toEqual([2, undefined]);
  });

  it('is used by one key without affecting another', () => {
    const { lines } = start();
    takes(lines, 'evil', 100);
    expect(lines.take('good')).toBe(0);
  });

  it('is shared by all keys when clients invent them', () => {
    const { lines, wait } = start();
    const invented = Array.from({ length: 100 }, (_, n) => lines.take(`invented-${n}`));
    expect(invented.filter((leftOut) => leftOut !== undefined)).toHaveLength(5);
    wait(1_000);
    expect([lines.take('good'), lines.take('better'), lines.take('late')]).toEqual([0, 0, undefined]);
  });

  it('is used faster by long lines', () => {
    const { lines } = start();
    expect([lines.take('a', 3), lines.take('a')]).toEqual([0, undefined]);
  });
});
