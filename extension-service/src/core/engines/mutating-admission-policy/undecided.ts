import { parseExpression } from '../../filters/parse.js';
import { holds } from '../../policies/pushdown/holds.js';
import { possiblyTrue } from '../../policies/pushdown/possible.js';
import { pushDownFilters } from '../../policies/pushdown/push-down.js';
import { exactMatch } from './limits.js';

/** Expressions that decide an image. */
export interface Expressions {
  /** `source.filters`. */
  readonly filters: readonly string[];
  /** `targets[].match`. */
  readonly matches: readonly string[];
}

/**
 * Whether the policies leave an image to the webhook of `policies.undecidable`, because CEL cannot decide it.
 *
 * @param obj the Pod, as filters see it
 */
export function isUndecided({ filters, matches }: Expressions, obj: unknown, container: unknown): boolean {
  const { pod, container: ofContainer, kept } = pushDownFilters(filters);
  if ([...pod, ...ofContainer].some(({ predicate }) => holds(predicate, obj, container))) return false;
  return [...kept.map(({ expression }) => expression), ...matches.filter(isInexact)].some((expression) =>
    holds(possiblyTrue(parseExpression(expression)), obj, container),
  );
}

function isInexact(match: string): boolean {
  return match.trim() !== '' && exactMatch(parseExpression(match)) === undefined;
}
