import type { NamedMatch } from '../engine.js';
import { parseExpression } from '../../filters/parse.js';
import { isQuotable } from '../../policies/literals.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import { celOf } from '../../policies/pushdown/cel.js';
import { textsOf } from '../../policies/pushdown/predicate.js';
import type { Predicate } from '../../policies/pushdown/predicate.js';
import { pushDownFilters } from '../../policies/pushdown/push-down.js';
import { translate } from '../../policies/pushdown/translate.js';

/** CEL that is true for what filters exclude: a Pod as a whole, and the entry `c` in it. */
export interface FilterConditions {
  readonly pod: readonly string[];
  readonly place: readonly string[];
}

/** Code points that one expression may use for all filters, in addition to its own text. */
const MAX_CHARACTERS = 80_000;

const CHOICES =
  'use only namespace, labels, annotations, names or images with ==, !=, &&, ||, !, starts_with, ends_with and contains, ' +
  'or use another engine (webhook, kyverno), whose requests reach the service';

/**
 * The filters in CEL; no other component evaluates them.
 *
 * @throws InvalidPolicyOptionError for the first filter that CEL cannot evaluate exactly as the service does
 */
export function filterConditions(filters: readonly string[], option = 'filters'): FilterConditions {
  const { pod, container, kept } = pushDownFilters(filters);
  const [first] = kept;
  if (first !== undefined) {
    const shown = JSON.stringify(first.expression);
    throw new InvalidPolicyOptionError(
      `${option}[${first.index}]`,
      `the API server cannot decide ${shown}: it ${first.why}: ${CHOICES}`,
    );
  }
  let length = 0;
  const cel = ({ predicate, index }: { readonly predicate: Predicate; readonly index: number }): string => {
    const text = celOf(predicate, `${option}[${index}]`);
    length += text.length;
    if (length <= MAX_CHARACTERS) return text;
    const reason = `the filters up to this one need more than ${MAX_CHARACTERS} characters in CEL: shorten them`;
    throw new InvalidPolicyOptionError(`${option}[${index}]`, reason);
  };
  return { pod: pod.map(cel), place: container.map(cel) };
}

/**
 * CEL that is true for the entry `c` if `targets[].match` selects its image; undefined if it selects every image.
 *
 * @throws InvalidPolicyOptionError if CEL cannot evaluate it exactly as the service does
 */
export function matchCondition({ option, match }: NamedMatch): string | undefined {
  if (match === undefined || match.trim() === '') return undefined;
  const predicate = translate(parseExpression(match));
  if (predicate === undefined || !textsOf(predicate).every(isQuotable))
    throw new InvalidPolicyOptionError(option, `the API server cannot decide ${JSON.stringify(match)}: ${CHOICES}`);
  const text = celOf(predicate, option);
  if (text.length > MAX_CHARACTERS)
    throw new InvalidPolicyOptionError(option, `needs more than ${MAX_CHARACTERS} characters in CEL: shorten it`);
  return text;
}
