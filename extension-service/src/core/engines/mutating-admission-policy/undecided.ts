import { parseExpression } from '../../filters/parse.js';
import { holds } from '../../policies/pushdown/holds.js';
import type { Predicate } from '../../policies/pushdown/predicate.js';
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
 * Returns whether the policies leave an image to the webhook of `policies.undecidable`, because CEL cannot decide it.
 * The function's parameters are the Pod and the container, as filters see them.
 */
export function undecidedTest({ filters, matches }: Expressions): (obj: unknown, container: unknown) => boolean {
  const { pod, container: ofContainer, kept } = pushDownFilters(filters);
  const excluded = [...pod, ...ofContainer].map(({ predicate }) => predicate);
  const possible = [...kept.map(({ expression }) => expression), ...matches.filter(isInexact)].map((expression) =>
    possiblyTrue(parseExpression(expression)),
  );
  return (obj, container) => {
    const isTrue = (predicate: Predicate): boolean => holds(predicate, obj, container);
    return !excluded.some(isTrue) && possible.some(isTrue);
  };
}

function isInexact(match: string): boolean {
  return match.trim() !== '' && exactMatch(parseExpression(match)) === undefined;
}
