import { describe, expect, it } from 'vitest';
import { compileFilter } from '../../../extension-service/src/core/filters/compile.js';
import type { Filter } from '../../../extension-service/src/core/filters/compile.js';
import { matchFilters } from '../../../extension-service/src/core/filters/match.js';

const context = { obj: { metadata: { namespace: 'a', name: 'secret-name' } }, container: { image: 'nginx' } };
const YES = "obj.metadata.namespace == 'a'";
const NO = "obj.metadata.namespace == 'b'";
const TEXT = 'obj.metadata.name';
const FAILS = "contains(obj.missing, 'x')";

function filtersOf(...expressions: readonly string[]): readonly Filter[] {
  return expressions.flatMap((expression, index) => compileFilter(expression, index).filter ?? []);
}

describe('matchFilters', () => {
  it.each([
    { filters: [], matched: undefined, warned: [] },
    { filters: [NO, NO], matched: undefined, warned: [] },
    { filters: [NO, YES], matched: 1, warned: [] },
    { filters: [YES, FAILS], matched: 0, warned: [] },
    {
      filters: [TEXT],
      matched: undefined,
      warned: ['0 not-boolean: the expression returns a string, not true or false'],
    },
    {
      filters: ['obj.missing', YES],
      matched: 1,
      warned: ['0 not-boolean: the expression returns null, not true or false'],
    },
    {
      filters: [TEXT, 'obj', NO],
      matched: undefined,
      warned: [
        '0 not-boolean: the expression returns a string, not true or false',
        '1 not-boolean: the expression returns an object, not true or false',
      ],
    },
    {
      filters: [TEXT, FAILS, YES],
      matched: undefined,
      warned: [
        '0 not-boolean: the expression returns a string, not true or false',
        '1 error: contains() needs an array or a string as argument 1, not null',
      ],
    },
    {
      filters: ["startsWith('a', 'a')", YES],
      matched: undefined,
      warned: ['0 error: there is no function startsWith()'],
    },
  ])('$filters: filter $matched, warnings $warned', ({ filters, matched, warned }) => {
    const verdict = matchFilters(filtersOf(...filters), context);
    expect(verdict.skip ? verdict.filter.index : undefined).toBe(matched);
    expect(verdict.warnings.map(({ filter, kind, message }) => `${filter.index} ${kind}: ${message}`)).toEqual(warned);
  });

  it('reads no filter after one that matched or failed', () => {
    let read = 0;
    const counting: Filter = {
      expression: '',
      index: 9,
      evaluate: () => {
        read++;
        return { kind: 'value', value: false };
      },
    };
    matchFilters([...filtersOf(YES), counting], context);
    matchFilters([...filtersOf(FAILS), counting], context);
    expect(read).toBe(0);
    matchFilters([...filtersOf(NO, TEXT), counting], context);
    expect(read).toBe(1);
  });
});
