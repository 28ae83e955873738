import type { NamedMatch } from '../engine.js';
import type { Node } from '../../filters/ast.js';
import { parseExpression } from '../../filters/parse.js';
import { isQuotable } from '../../policies/literals.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import { celOf } from '../../policies/pushdown/cel.js';
import { textsOf } from '../../policies/pushdown/predicate.js';
import type { Predicate } from '../../policies/pushdown/predicate.js';
import { possiblyTrue } from '../../policies/pushdown/possible.js';
import { pushDownFilters } from '../../policies/pushdown/push-down.js';
import { translate } from '../../policies/pushdown/translate.js';

/** CEL that is true for what filters exclude: a Pod as a whole, and the entry `c` in it. */
export interface FilterConditions {
  readonly pod: readonly string[];
  readonly place: readonly string[];
  /** For `undecidable: webhook`: the entry may be excluded, so only the service can decide it. */
  readonly undecided: readonly string[];
}

/** `policies.undecidable`. */
export type Undecidable = 'refuse' | 'webhook';

/** Maximum code points of one expression in the API server's parser. */
export const MAX_EXPRESSION_CHARACTERS = 100_000;

/** Code points that one expression may use for all filters, in addition to its own text. */
const MAX_CHARACTERS = 80_000;

const CHOICES =
  'use only namespace, labels, annotations, names or images with ==, !=, &&, ||, !, starts_with, ends_with and contains, ' +
  'set policies.undecidable: webhook, so that the service decides the Pods that it may concern, ' +
  'or use another engine (webhook, kyverno), whose requests reach the service';

/**
 * The filters in CEL; no other component evaluates them.
 *
 * @throws InvalidPolicyOptionError with `refuse`, for the first filter that CEL cannot evaluate exactly as the service
 *   does; and if they are too long
 */
export function filterConditions(
  filters: readonly string[],
  undecidable: Undecidable = 'refuse',
  option = 'filters',
): FilterConditions {
  const { pod, container, kept } = pushDownFilters(filters);
  const [first] = kept;
  if (first !== undefined && undecidable === 'refuse') {
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
  const undecided = kept.map(({ expression, index }) => ({
    index,
    predicate: possiblyTrue(parseExpression(expression)),
  }));
  return { pod: pod.map(cel), place: container.map(cel), undecided: undecided.filter(isPossible).map(cel) };
}

function isPossible({ predicate }: { readonly predicate: Predicate }): boolean {
  return predicate.kind !== 'constant' || predicate.value;
}

/** What CEL says about `targets[].match`. */
export interface MatchConditions {
  /** True for the entry `c` if the target certainly selects it; absent if it selects every image. */
  readonly selects?: string;
  /** True for the entry `c` if only the service can tell whether the target selects it; absent if CEL always can. */
  readonly undecided?: string;
}

/**
 * @throws InvalidPolicyOptionError with `refuse`, if CEL cannot evaluate the expression exactly as the service does; and
 *   if it is too long
 */
export function matchConditions({ option, match }: NamedMatch, undecidable: Undecidable = 'refuse'): MatchConditions {
  if (match === undefined || match.trim() === '') return {};
  const node = parseExpression(match);
  const exact = exactMatch(node);
  if (exact === undefined && undecidable === 'refuse')
    throw new InvalidPolicyOptionError(option, `the API server cannot decide ${JSON.stringify(match)}: ${CHOICES}`);
  const text = celOf(exact ?? possiblyTrue(node), option);
  if (text.length > MAX_CHARACTERS)
    throw new InvalidPolicyOptionError(option, `needs more than ${MAX_CHARACTERS} characters in CEL: shorten it`);
  return exact === undefined ? { selects: 'false', undecided: text } : { selects: text };
}

/** The expression in the form that CEL can evaluate exactly as the service does; undefined if there is none. */
export function exactMatch(node: Node): Predicate | undefined {
  const predicate = translate(node);
  return predicate !== undefined && textsOf(predicate).every(isQuotable) ? predicate : undefined;
}

/** CEL that is true for the entry `c` if only the service can decide it: one text for each reason. */
export function undecidedBy(filters: FilterConditions, matches: readonly MatchConditions[]): readonly string[] {
  return [...filters.undecided, ...matches.flatMap(({ undecided }) => undecided ?? [])];
}
