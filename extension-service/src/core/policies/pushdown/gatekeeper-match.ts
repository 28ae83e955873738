import { readsOnlyImage } from '../../filters/needs.js';
import { parseExpression } from '../../filters/parse.js';
import { InvalidPolicyOptionError } from '../problem.js';
import { alternatives, countAlternatives } from './alternatives.js';
import { minimal, MatchDraft } from './match-draft.js';
import type { GatekeeperMatch } from './match-draft.js';
import { NOT_OPTED_OUT } from './opted-out.js';
import type { Predicate } from './predicate.js';
import { pushDownFilters } from './push-down.js';

export interface GatekeeperFilters {
  /** The service is called for a Pod if one of these matches; Gatekeeper needs a mutator for each. */
  readonly matches: readonly GatekeeperMatch[];
  /** Indexes of the filters that the matches decide; the service decides the others, from the image alone. */
  readonly matched: readonly number[];
}

/** Each causes a mutator for each list of containers, and Gatekeeper evaluates all of them for each Pod. */
export const MAX_MATCHES = 8;
/** Many alternatives repeat each other, so only these are shown. */
const MAX_ALTERNATIVES = 512;

const CHOICES =
  'use only conditions on the namespace and labels, or only container.image, or another engine ' +
  '(kyverno, webhook), whose requests contain the whole Pod';
const TOO_MANY =
  `, which needs more than ${MAX_MATCHES} mutators (for several strings for one field, ` +
  'contains(`["a", "b"]`, FIELD) needs only one)';

/**
 * Divides filters between `match` and the service, which only sees images here.
 *
 * @throws InvalidPolicyOptionError for a filter that neither can decide: it would silently have no effect
 */
export function gatekeeperFilters(filters: readonly string[], option = 'filters'): GatekeeperFilters {
  const { pod, kept } = pushDownFilters(filters);
  const predicates = new Map(pod.map(({ index, predicate }) => [index, predicate]));
  const matched: number[] = [];
  const every = MatchDraft.matchAll();
  every.demandAll([NOT_OPTED_OUT]);
  let drafts: readonly MatchDraft[] = [every];
  filters.forEach((expression, index) => {
    if (readsOnlyImage(parseExpression(expression))) return;
    const refuse = (why: string): never => {
      const shown = JSON.stringify(expression);
      throw new InvalidPolicyOptionError(`${option}[${index}]`, `Gatekeeper cannot decide ${shown}${why}: ${CHOICES}`);
    };
    const predicate = predicates.get(index);
    if (predicate === undefined) {
      const why = kept.find((one) => one.index === index)?.why;
      return refuse(why === undefined ? ', which reads the container' : `: ${why}`);
    }
    const next = without(predicate, drafts);
    if (next === 'inexpressible') return refuse('');
    if (next === 'too many' || next.length > MAX_MATCHES) return refuse(TOO_MANY);
    if (next.length === 0) return refuse(', which excludes every Pod together with the previous filters');
    drafts = next;
    matched.push(index);
  });
  return { matches: minimal(drafts).map((draft) => draft.toMatch()), matched };
}

/** The drafts, which must not be used afterwards, reduced to the Pods that the filter does not exclude. */
function without(
  filter: Predicate,
  drafts: readonly MatchDraft[],
): readonly MatchDraft[] | 'inexpressible' | 'too many' {
  if (drafts.length * countAlternatives(filter, false) > MAX_ALTERNATIVES) return 'too many';
  const ways = alternatives(filter, false);
  const found: MatchDraft[] = [];
  for (const way of ways) {
    for (const draft of drafts) {
      const next = ways.length === 1 ? draft : draft.copy();
      const demanded = next.demandAll(way);
      if (demanded === 'inexpressible') return demanded;
      if (demanded === 'expressed') found.push(next);
    }
  }
  // A single alternative does not increase their number, and comparing them each time would take long for many
  // filters.
  return ways.length === 1 ? found : minimal(found);
}
