import type { Node } from './ast.js';
import type { Filter, FilterContext } from './compile.js';
import { evaluateSafely } from './compile.js';
import { compileNode } from './evaluate.js';
import type { Evaluate } from './evaluate.js';
import { EvaluationError } from './evaluation-error.js';
import { parseExpression } from './parse.js';

/** One evaluation of one sub-expression. Values come from the Pod: they may be large and secret. */
export interface FilterTrace {
  readonly text: string;
  /** From 1, in UTF-16 units of the expression. */
  readonly column: number;
  /** Exactly one of value and error is set. */
  readonly value?: unknown;
  readonly error?: string;
  /** In the order of evaluation; the right side of a projection once for each element. */
  readonly children: readonly FilterTrace[];
  /** Whether sub-expressions were omitted because there were too many. */
  readonly truncated?: true;
}

/** Enough for a reader, and a bound on the memory that a Pod with thousands of variables can use. */
const MAX_ENTRIES = 500;

/**
 * Evaluates a filter again and records each sub-expression. Literals are omitted, and a path such as
 * `obj.metadata.name` is one entry. Parses the expression again, so that evaluation without a trace costs nothing
 * extra.
 */
export function traceFilter(filter: Filter, context: FilterContext): FilterTrace {
  const { expression } = filter;
  const node = parseExpression(expression);
  const recorder = new Recorder(expression);
  const evaluate = compileNode(node, (child, run) => (child === node ? run : recorder.watch(child, run)));
  const result = evaluateSafely(isPath(node) ? compileNode(node) : evaluate, context);
  return {
    text: expression.slice(node.start, node.end),
    column: node.start + 1,
    ...(result.kind === 'value' ? { value: result.value } : { error: result.message }),
    children: recorder.entries,
    ...(recorder.truncated ? { truncated: true as const } : {}),
  };
}

class Recorder {
  entries: FilterTrace[] = [];
  truncated = false;
  #count = 0;

  constructor(private readonly expression: string) {}

  watch(node: Node, evaluate: Evaluate): Evaluate {
    if (isTrivial(node)) {
      return evaluate;
    }
    const bare = isPath(node) ? compileNode(node) : evaluate;
    return (value) => this.#record(node, bare, value);
  }

  #record(node: Node, evaluate: Evaluate, input: unknown): unknown {
    if (this.#count >= MAX_ENTRIES) {
      this.truncated = true;
      return evaluate(input);
    }
    this.#count++;
    const siblings = this.entries;
    const children: FilterTrace[] = [];
    const place = { text: this.expression.slice(node.start, node.end), column: node.start + 1 };
    this.entries = children;
    try {
      const value = evaluate(input);
      siblings.push({ ...place, value, children });
      return value;
    } catch (error) {
      const message = error instanceof EvaluationError ? error.message : 'the expression cannot be evaluated here';
      siblings.push({ ...place, error: message, children });
      throw error;
    } finally {
      this.entries = siblings;
    }
  }
}

/** Steps that would only repeat their own text, or their parent's value. */
function isTrivial(node: Node): boolean {
  switch (node.kind) {
    case 'literal':
    case 'flatten':
    case 'reference':
    case 'index':
    case 'slice':
      return true;
    case 'current':
      return node.implicit;
    default:
      return false;
  }
}

function isPath(node: Node): boolean {
  switch (node.kind) {
    case 'current':
    case 'field':
    case 'index':
      return true;
    case 'chain':
      return isPath(node.left) && isPath(node.right);
    default:
      return false;
  }
}
