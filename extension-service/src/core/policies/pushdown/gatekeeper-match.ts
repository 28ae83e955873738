import { readsOnlyImage } from '../../filters/needs.js';
import { parseExpression } from '../../filters/parse.js';
import type { GatekeeperAssignObject } from '../objects.js';
import { InvalidPolicyOptionError } from '../problem.js';
import { OPTED_OUT_LABEL } from './opted-out.js';
import { alternatives, countAlternatives } from './alternatives.js';
import type { Conjunction } from './alternatives.js';
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
  /** A Pod is asked about when one of these holds; Gatekeeper needs a mutator for each. */
  readonly matches: readonly GatekeeperMatch[];
  /** Places of the filters that the matches decide; the service decides the others, by the image alone. */
  readonly matched: readonly number[];
}

/** Each is a mutator for each list of containers, through all of which Gatekeeper goes for each Pod. */
const MOST_MATCHES = 8;
/** Many alternatives say the same; of more than these nobody wants to know. */
const MOST_ALTERNATIVES = 512;

const CHOICES =
  'write it as conditions on the namespace and labels, or on container.image alone, or use another engine ' +
  '(kyverno, webhook), whose requests hold the whole Pod';

/**
 * Divides filters between `match` and the service, which sees nothing but images there.
 *
 * @throws InvalidPolicyOptionError for a filter that neither can decide: it would silently not count
 */
export function gatekeeperFilters(filters: readonly string[], option = 'filters'): GatekeeperFilters {
  const { pod } = pushDownFilters(filters);
  const matched: number[] = [];
  let matches: readonly GatekeeperMatch[] = [{ excludedNamespaces: [], labels: [OPTED_OUT_LABEL] }];
  filters.forEach((expression, index) => {
    if (readsOnlyImage(parseExpression(expression))) return;
    const pushed = pod.find((candidate) => candidate.index === index);
    const next = pushed === undefined ? undefined : withoutThose(pushed.predicate, matches);
    if (next === undefined || next.length === 0 || next.length > MOST_MATCHES) {
      const shown = JSON.stringify(expression);
      let why = '';
      if (next?.length === 0) why = ', which together with the filters before leaves no Pod';
      if (next !== undefined && next.length > MOST_MATCHES) why = `, which takes more than ${MOST_MATCHES} mutators`;
      throw new InvalidPolicyOptionError(`${option}[${index}]`, `Gatekeeper cannot decide ${shown}${why}: ${CHOICES}`);
    }
    matches = next;
    matched.push(index);
  });
  return { matches, matched };
}

/** The matches for what they hold of and the filter does not; undefined when it has something that no match can say. */
function withoutThose(
  filter: Predicate,
  matches: readonly GatekeeperMatch[],
): readonly GatekeeperMatch[] | undefined {
  if (matches.length * countAlternatives(filter, false) > MOST_ALTERNATIVES) return undefined;
  const found: GatekeeperMatch[] = [];
  for (const conjunction of alternatives(filter, false)) {
    for (const match of matches) {
      const next = demandAll(conjunction, match);
      if (next === undefined) return undefined;
      if (next !== NOTHING) found.push(next);
    }
  }
  const unique = [...new Map(found.map((match) => [wordsOf(match).join('\n'), match])).values()];
  return unique.filter((match) => !unique.some((other) => other !== match && isWider(other, match)));
}

/** A match that no Pod has. */
const NOTHING: GatekeeperMatch = { namespaces: [], excludedNamespaces: [], labels: [] };

/** True if whatever has `narrow` has `wide` too, because it asks for less of the same. */
function isWider(wide: GatekeeperMatch, narrow: GatekeeperMatch): boolean {
  const words = wordsOf(narrow);
  return wordsOf(wide).every((word) => words.includes(word));
}

/** What it asks for, one by one. */
function wordsOf({ namespaces, excludedNamespaces, labels }: GatekeeperMatch): readonly string[] {
  const words = [...(namespaces === undefined ? [] : [namespaces]), ...excludedNamespaces, ...labels];
  return [...new Set(words.map((word) => JSON.stringify(word)))].sort();
}

/** `match` with more requirements; undefined when it has no words for one. */
function demandAll(wanted: Conjunction, match: GatekeeperMatch): GatekeeperMatch | undefined {
  let so: GatekeeperMatch | undefined = match;
  for (const { atom, holds } of wanted) {
    if (so !== undefined) so = so === NOTHING ? wordsExist(atom, holds) : demandAtom(atom, holds, so);
  }
  return so;
}

/** Of a match that is lost already, it still counts whether the rest could be said: the answer must not hang on order. */
function wordsExist(atom: Atom, holds: boolean): GatekeeperMatch | undefined {
  return demandAtom(atom, holds, { excludedNamespaces: [], labels: [] }) === undefined ? undefined : NOTHING;
}

function demandAtom(atom: Atom, holds: boolean, match: GatekeeperMatch): GatekeeperMatch | undefined {
  if (atom.field.of === 'labels') return demandLabel(atom, holds, match);
  if (atom.field.of !== 'metadata' || atom.field.name !== 'namespace') return undefined;
  const patterns = namespacePatterns(atom);
  if (patterns === undefined) return undefined;
  if (!holds) return possible({ ...match, excludedNamespaces: union(match.excludedNamespaces, patterns) });
  if (match.namespaces === undefined) return possible({ ...match, namespaces: patterns });
  const namespaces = intersection(match.namespaces, patterns);
  return namespaces === undefined ? undefined : possible({ ...match, namespaces });
}

/** Without the names that it also excludes. */
function possible(match: GatekeeperMatch): GatekeeperMatch {
  if (match.namespaces === undefined) return match;
  const excluded = (name: string): boolean => match.excludedNamespaces.some((pattern) => fits(name, pattern));
  const namespaces = match.namespaces.filter((name) => name.includes('*') || !excluded(name));
  return namespaces.length === 0 ? NOTHING : { ...match, namespaces };
}

function union(some: readonly string[], others: readonly string[]): readonly string[] {
  return [...new Set([...some, ...others])];
}

/** Names that both lists take, of which one must be of names alone: there is no pattern for what two patterns share. */
function intersection(a: readonly string[], b: readonly string[]): readonly string[] | undefined {
  const [names, patterns] = a.every((name) => !name.includes('*')) ? [a, b] : [b, a];
  if (names.some((name) => name.includes('*'))) return undefined;
  return names.filter((name) => patterns.some((pattern) => fits(name, pattern)));
}

function fits(name: string, pattern: string): boolean {
  const text = pattern.replaceAll('*', '');
  const [start, end] = [pattern.startsWith('*'), pattern.endsWith('*')];
  if (start && end) return name.includes(text);
  if (start) return name.endsWith(text);
  return end ? name.startsWith(text) : name === text;
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
  const there = match.labels.some((other) => JSON.stringify(other) === JSON.stringify(expression));
  return there ? match : { ...match, labels: [...match.labels, expression] };
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
