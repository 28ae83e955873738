import { describe, expect, it } from 'vitest';
import { compileFilter } from '../../../extension-service/src/core/filters/compile.js';
import { KUBERNETES_FILTERS, POD_CONTEXT } from './kubernetes-filters.js';

describe('typical filters of users', () => {
  it.each(KUBERNETES_FILTERS)('%s: %j', (expression, expected) => {
    const { filter } = compileFilter(expression, 0);
    const result = filter?.evaluate(POD_CONTEXT) ?? { kind: 'compile-error' as const };
    expect(result.kind === 'value' ? result.value : result.kind).toBe(expected);
  });
});
