import { compileFilter, evaluateSafely } from '../../../extension-service/src/core/filters/compile.js';
import type { FilterResult } from '../../../extension-service/src/core/filters/compile.js';
import { compileNode } from '../../../extension-service/src/core/filters/evaluate.js';
import { parseExpression } from '../../../extension-service/src/core/filters/parse.js';

export type Outcome = FilterResult | { readonly kind: 'compile-error'; readonly message: string };

/** Evaluates an expression on any document. Filters accept only a Pod and a container. */
export function evaluateOver(expression: string, document: unknown): Outcome {
  const { filter, problems } = compileFilter(expression, 0);
  if (filter === undefined) {
    return { kind: 'compile-error', message: problems.map((problem) => problem.message).join('; ') };
  }
  return evaluateSafely(compileNode(parseExpression(expression)), document);
}

/** The value of an expression that must not fail. */
export function valueOf(expression: string, document: unknown = {}): unknown {
  const outcome = evaluateOver(expression, document);
  if (outcome.kind !== 'value') {
    throw new Error(`${expression}: ${outcome.kind}: ${outcome.message}`);
  }
  return outcome.value;
}
