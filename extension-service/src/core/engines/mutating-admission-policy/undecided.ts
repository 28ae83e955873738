import { parseExpression } from '../../filters/parse.js';
import type { NamedMatch } from '../engine.js';
import { celOf } from '../../policies/pushdown/cel.js';
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

/** An expression that only the service can decide. */
export interface UndecidedExpression {
  /** The key, as in `source.filters[0]`. */
  readonly option: string;
  readonly expression: string;
  /** CEL that holds whenever the expression may be true, about the Pod `object` and its container `c`. */
  readonly condition: string;
  /** The API server can decide no part of it. */
  readonly concernsAll: boolean;
}

/** The expressions that the API server leaves to the service, with `policies.undecidable: webhook`. */
export function undecidedExpressions(
  filters: readonly string[],
  matches: readonly NamedMatch[],
): readonly UndecidedExpression[] {
  const all = [
    ...pushDownFilters(filters).kept.map(({ expression, index }) => ({
      option: `source.filters[${index}]`,
      expression,
    })),
    ...matches.flatMap(({ option, match = '' }) => (isInexact(match) ? [{ option, expression: match }] : [])),
  ];
  return all.flatMap(({ option, expression }): readonly UndecidedExpression[] => {
    const predicate = possiblyTrue(parseExpression(expression));
    if (predicate.kind === 'constant' && !predicate.value) return [];
    const concernsAll = predicate.kind === 'constant';
    return [{ option, expression, condition: celOf(predicate, option), concernsAll }];
  });
}

function isInexact(match: string): boolean {
  return match.trim() !== '' && exactMatch(parseExpression(match)) === undefined;
}
