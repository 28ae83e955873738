import type { Filter, FilterContext } from './compile.js';
import { describe } from './values.js';

export interface FilterWarning {
  readonly filter: Filter;
  readonly kind: 'not-boolean' | 'error';
  readonly message: string;
}

export type FilterVerdict =
  | { readonly skip: true; readonly filter: Filter; readonly warnings: readonly FilterWarning[] }
  | { readonly skip: false; readonly warnings: readonly FilterWarning[] };

const NO_WARNINGS: readonly FilterWarning[] = [];
const NO_MATCH: FilterVerdict = { skip: false, warnings: NO_WARNINGS };

/**
 * Evaluates the filters in order for a container; the first `true` excludes it.
 *
 * A result that is not boolean causes a warning and does not match. An error ends the evaluation without a match, as in
 * k8s-image-swapper: later filters are not evaluated, so the image is swapped.
 */
export function matchFilters(filters: readonly Filter[], context: FilterContext): FilterVerdict {
  let warnings: FilterWarning[] | undefined;
  for (const filter of filters) {
    const result = filter.evaluate(context);
    if (result.kind === 'error') {
      const warning: FilterWarning = { filter, kind: 'error', message: result.message };
      return { skip: false, warnings: [...(warnings ?? NO_WARNINGS), warning] };
    }
    if (result.value === true) {
      return { skip: true, filter, warnings: warnings ?? NO_WARNINGS };
    }
    if (result.value !== false) {
      const message = `the expression returns ${describe(result.value)}, not true or false`;
      (warnings ??= []).push({ filter, kind: 'not-boolean', message });
    }
  }
  return warnings === undefined ? NO_MATCH : { skip: false, warnings };
}
