import type { Node } from '../../filters/ast.js';
import { isQuotable } from '../literals.js';
import { and, not, or, textsOf, ALWAYS } from './predicate.js';
import type { Predicate } from './predicate.js';
import { exactMeaning, textCondition } from './translate.js';

/** Predicates that hold at least whenever the expression has this value. They hold if the value is unknown. */
interface Bounds {
  readonly isTrue: Predicate;
  /** In `&&`, `||` and `!`. */
  readonly truthy: Predicate;
  readonly falsy: Predicate;
}

const UNKNOWN: Bounds = { isTrue: ALWAYS, truthy: ALWAYS, falsy: ALWAYS };

/**
 * A predicate that holds for each Pod for which the filter can be `true`, and for as few others as this form can
 * express. An expression that raises an error is not `true`.
 */
export function possiblyTrue(node: Node): Predicate {
  const { isTrue } = boundsOf(node);
  return textsOf(isTrue).every(isQuotable) ? isTrue : ALWAYS;
}

function boundsOf(node: Node): Bounds {
  const exact = exactMeaning(node);
  if (exact !== undefined) return { ...exact, falsy: not(exact.truthy) };
  switch (node.kind) {
    case 'not': {
      const { truthy, falsy } = boundsOf(node.operand);
      return { isTrue: falsy, truthy: falsy, falsy: truthy };
    }
    case 'and': {
      const [left, right] = [boundsOf(node.left), boundsOf(node.right)];
      return {
        isTrue: and(left.truthy, right.isTrue),
        truthy: and(left.truthy, right.truthy),
        falsy: or(left.falsy, right.falsy),
      };
    }
    case 'or': {
      const [left, right] = [boundsOf(node.left), boundsOf(node.right)];
      return {
        isTrue: or(left.isTrue, right.isTrue),
        truthy: or(left.truthy, right.truthy),
        falsy: and(left.falsy, right.falsy),
      };
    }
    case 'call': {
      // Raises an error if the field is absent. The condition is false then, and so is its result here.
      const condition = textCondition(node);
      return condition === undefined ? UNKNOWN : { isTrue: condition, truthy: condition, falsy: not(condition) };
    }
    default:
      return UNKNOWN;
  }
}
