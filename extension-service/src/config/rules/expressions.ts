import type { Path } from '../tree.js';
import type { RuleContext } from './context.js';
import { targetsOf } from './registries.js';

/** An expression that parsed, with its path and its index. */
export interface LocatedExpression {
  readonly path: Path;
  readonly index: number;
  readonly expression: string;
}

/**
 * Compiles every expression. A syntax error stops the load, as in k8s-image-swapper. An expression that compiles but
 * can only fail or never be true is an error; in k8s-image-swapper's dialect it is a warning, because that program
 * starts with such filters.
 */
export function checkExpressions(context: RuleContext): void {
  for (const { path, index, expression } of [...filtersOf(context), ...matchesOf(context)]) {
    for (const problem of context.compile(expression, index).problems) {
      const severity = context.dialect === 'k8s-image-swapper' ? problem.severity : 'error';
      context.reportAt(severity, path, problem.column - 1, problem.message);
    }
  }
}

/** `source.filters` */
export function filtersOf({ config }: RuleContext): readonly LocatedExpression[] {
  return (config.source?.filters ?? []).flatMap((filter, index) => {
    const expression = filter?.jmespath;
    return expression === undefined ? [] : [{ path: ['source', 'filters', index, 'jmespath'], index, expression }];
  });
}

/** `match` of each target that has one. */
export function matchesOf(context: RuleContext): readonly LocatedExpression[] {
  return targetsOf(context).flatMap(({ path, config }, index) => {
    const expression = config?.match;
    return expression === undefined ? [] : [{ path: [...path, 'match'], index, expression }];
  });
}
