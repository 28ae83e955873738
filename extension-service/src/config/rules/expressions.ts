import { reportAt } from '../issues.js';
import type { Path } from '../tree.js';
import { childOf, itemsOf, nodeAt, textOf } from '../tree.js';
import type { RuleContext } from './context.js';

/**
 * Compiles every expression. A syntax error stops the load, as in k8s-image-swapper; what compiles and can then only
 * fail or never be true is an error, and a warning in its dialect, because it starts with such filters.
 */
export function checkExpressions({ tree, dialect, problems, compile }: RuleContext): void {
  for (const [index, path] of expressionPaths(tree).entries()) {
    const expression = textOf(nodeAt(tree, path));
    if (expression === undefined || expression.trim() === '') continue;
    for (const problem of compile(expression, index).problems) {
      const severity = dialect === 'anchor' ? problem.severity : 'error';
      reportAt(problems, severity, tree, path, problem.message, undefined, problem.column - 1);
    }
  }
}

function expressionPaths(tree: RuleContext['tree']): readonly Path[] {
  return [
    ...itemsOf(nodeAt(tree, ['source', 'filters'])).map((_, index) => ['source', 'filters', index, 'jmespath']),
    ...itemsOf(childOf(tree, 'targets')).map((_, index) => ['targets', index, 'match']),
    ['target', 'match'],
  ];
}
