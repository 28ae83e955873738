import { describe, expect, it } from 'vitest';
import { complianceCases } from './compliance.js';
import { evaluateOver } from './evaluate.js';

const cases = complianceCases().map((one) => ({ ...one, title: JSON.stringify(one.expression) }));

describe('the compliance suite of go-jmespath', () => {
  it('is complete', () => {
    expect(cases).toHaveLength(862);
  });

  it.each(cases.filter(({ error }) => error === undefined))('$file: $title', ({ expression, given, result }) => {
    expect(evaluateOver(expression, given)).toEqual({ kind: 'value', value: result });
  });

  it.each(cases.filter(({ error }) => error === 'syntax'))(
    '$file: $title is a syntax error',
    ({ expression, given }) => {
      expect(evaluateOver(expression, given).kind).toBe('compile-error');
    },
  );

  it.each(cases.filter(({ error }) => error !== undefined && error !== 'syntax'))(
    '$file: $title fails: $error',
    ({ expression, given }) => {
      expect(evaluateOver(expression, given).kind).not.toBe('value');
    },
  );
});
