import { readsOnlyImage } from '../../filters/needs.js';
import { parseExpression } from '../../filters/parse.js';
import type { GatekeeperAssignObject } from '../objects.js';
import { InvalidPolicyOptionError } from '../problem.js';
import { OPTED_OUT_LABEL } from './opted-out.js';
import { not } from './predicate.js';
import type { Atom, Predicate } from './predicate.js';
import { pushDownFilters } from './push-down.js';

type Match = GatekeeperAssignObject['spec']['match'];
export type LabelExpression = NonNullable<Match['labelSelector']>['matchExpressions'][number];

/** What `match` can say: all of it must hold for a Pod to be asked about. */
export interface GatekeeperMatch {
  readonly namespaces?: readonly string[];
  readonly excludedNamespaces: readonly string[];
  readonly labels: readonly LabelExpression[];
}

export interface GatekeeperFilters {
  readonly match: GatekeeperMatch;
  /** Places of the filters that `match` decides; the service decides the others, by the image alone. */
  readonly matched: readonly number[];
}

const CHOICES =
  'write it as one condition on the namespace or a label, or on container.image alone, or use another engine ' +
  '(kyverno, webhook), whose requests hold the whole Pod';

/**
 * Divides filters between `match` and the service, which sees nothing but images there.
 *
 * @throws InvalidPolicyOptionError for a filter that neither can decide: it would silently not count
 */
export function gatekeeperFilters(filters: readonly string[], option = 'filters'): GatekeeperFilters {
  const { pod } = pushDownFilters(filters);
  const matched: number[] = [];
  let match: GatekeeperMatch = { excludedNamespaces: [], labels: [OPTED_OUT_LABEL] };
  filters.forEach((expression, index) => {
    if (readsOnlyImage(parseExpression(expression))) return;
    const pushed = pod.find((candidate) => candidate.index === index);
    const next = pushed === undefined ? undefined : demand(not(pushed.predicate), match);
    if (next === undefined) {
      const shown = JSON.stringify(expression);
      throw new InvalidPolicyOptionError(`${option}[${index}]`, `Gatekeeper cannot decide ${shown}: ${CHOICES}`);
    }
    match = next;
    matched.push(index);
  });
  return { match, matched };
}

/** `match` with one more requirement; undefined when it has no words for it. */
function demand(wanted: Predicate, match: GatekeeperMatch): GatekeeperMatch | undefined {
  switch (wanted.kind) {
    case 'constant':
      // A filter that is always true leaves nothing to match.
      return wanted.value ? match : undefined;
    case 'and':
      return demandAll(wanted.operands, match);
    case 'or':
      return undefined;
    case 'not':
      return demandNot(wanted.operand, match);
    default:
      return demandAtom(wanted, true, match);
  }
}

function demandAll(wanted: readonly Predicate[], match: GatekeeperMatch): GatekeeperMatch | undefined {
  let so: GatekeeperMatch | undefined = match;
  for (const operand of wanted) so = so === undefined ? undefined : demand(operand, so);
  return so;
}

function demandNot(unwanted: Predicate, match: GatekeeperMatch): GatekeeperMatch | undefined {
  switch (unwanted.kind) {
    case 'constant':
    case 'not':
    case 'and':
      return undefined;
    case 'or':
      return demandAll(unwanted.operands.map(not), match);
    default:
      return demandAtom(unwanted, false, match);
  }
}

function demandAtom(atom: Atom, holds: boolean, match: GatekeeperMatch): GatekeeperMatch | undefined {
  if (atom.field.of === 'labels') return demandLabel(atom, holds, match);
  if (atom.field.of !== 'metadata' || atom.field.name !== 'namespace') return undefined;
  const patterns = namespacePatterns(atom);
  if (patterns === undefined) return undefined;
  if (!holds) return { ...match, excludedNamespaces: [...match.excludedNamespaces, ...patterns] };
  // Two lists of which both must hold have no place.
  return match.namespaces === undefined ? { ...match, namespaces: patterns } : undefined;
}

function namespacePatterns(atom: Atom): readonly string[] | undefined {
  switch (atom.kind) {
    case 'present':
      return undefined;
    case 'equals':
      return atom.texts.every(isNamespace) ? atom.texts : undefined;
    default: {
      if (!/^[-a-z0-9]+$/.test(atom.text)) return undefined;
      const [before, after] = [atom.kind !== 'startsWith' ? '*' : '', atom.kind !== 'endsWith' ? '*' : ''];
      return [`${before}${atom.text}${after}`];
    }
  }
}

function demandLabel(atom: Atom, holds: boolean, match: GatekeeperMatch): GatekeeperMatch | undefined {
  const { name: key } = atom.field;
  if (!isLabelKey(key)) return undefined;
  let expression: LabelExpression;
  if (atom.kind === 'present') expression = { key, operator: holds ? 'Exists' : 'DoesNotExist' };
  else if (atom.kind === 'equals' && atom.texts.every(isLabelValue))
    expression = { key, operator: holds ? 'In' : 'NotIn', values: atom.texts };
  else return undefined;
  return { ...match, labels: [...match.labels, expression] };
}

function isNamespace(text: string): boolean {
  return /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(text);
}

function isLabelValue(text: string): boolean {
  return /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/.test(text);
}

function isLabelKey(text: string): boolean {
  return /^(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(text);
}
