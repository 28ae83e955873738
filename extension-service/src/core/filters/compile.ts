import { checkExpression } from './check.js';
import { WorkBudgetError, isCounted, withinBudget } from './work-budget.js';
import { compileNode } from './evaluate.js';
import type { Evaluate } from './evaluate.js';
import { EvaluationError } from './evaluation-error.js';
import { parseExpression } from './parse.js';
import { ExpressionSyntaxError } from './syntax-error.js';

/** The input of an expression. Both are plain JSON; only own properties are read, and nothing is changed. */
export interface FilterContext {
  /** The Pod, with the request's namespace filled in. */
  readonly obj: unknown;
  readonly container: unknown;
}

export type FilterResult =
  { readonly kind: 'value'; readonly value: unknown } | { readonly kind: 'error'; readonly message: string };

/** A compiled JMESPath expression of `source.filters` or `targets[].match`. */
export interface Filter {
  readonly expression: string;
  /** Index in its original list, from 0. */
  readonly index: number;
  /** Never throws, except for a WorkBudgetError if a caller counts the work of several evaluations. */
  evaluate(context: FilterContext): FilterResult;
}

export interface FilterProblem {
  /** `error`: go-jmespath does not compile it. `warning`: it compiles, but can only fail or never match. */
  readonly severity: 'error' | 'warning';
  /** From 1, in UTF-16 units of the expression. */
  readonly column: number;
  readonly message: string;
}

export interface CompiledFilter {
  /** Missing exactly when a problem is an error. */
  readonly filter?: Filter;
  readonly problems: readonly FilterProblem[];
}

/** Compiles an expression once, for many evaluations with go-jmespath 0.4.0's results. Never throws. */
export function compileFilter(expression: string, index: number): CompiledFilter {
  try {
    const node = parseExpression(expression);
    const evaluate = compileNode(node);
    return {
      filter: { expression, index, evaluate: (context) => evaluateSafely(evaluate, context) },
      problems: checkExpression(node, expression).map(({ offset, message }) => ({
        severity: 'warning',
        column: offset + 1,
        message,
      })),
    };
  } catch (error) {
    const offset = error instanceof ExpressionSyntaxError ? error.offset : 0;
    const message = error instanceof ExpressionSyntaxError ? error.reason : 'the expression is nested too deeply';
    return { problems: [{ severity: 'error', column: offset + 1, message }] };
  }
}

/** Converts an exception of the evaluation to a result. */
export function evaluateSafely(evaluate: Evaluate, context: unknown): FilterResult {
  try {
    return { kind: 'value', value: isCounted() ? evaluate(context) : withinBudget(() => evaluate(context)) };
  } catch (error) {
    if (error instanceof WorkBudgetError) {
      if (isCounted()) throw error;
      return { kind: 'error', message: error.message };
    }
    // Anything else is a stack overflow, from a Pod nested thousands of levels deep.
    const message =
      error instanceof EvaluationError ? error.message : 'the expression cannot be evaluated on this object';
    return { kind: 'error', message };
  }
}
