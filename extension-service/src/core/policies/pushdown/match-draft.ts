import type { Conjunction } from './alternatives.js';
import { demandOf, isLabelQuestion, isWiderDemand, labelExpressions, NO_DEMAND } from './label-demand.js';
import type { LabelDemand, LabelExpression } from './label-demand.js';
import { anyOf, common, covers, namespacePatterns } from './namespaces.js';
import type { Atom } from './predicate.js';

/** The conditions that `match` can express; the service is called for a Pod if all of them hold. */
export interface GatekeeperMatch {
  readonly namespaces?: readonly string[];
  readonly excludedNamespaces: readonly string[];
  readonly labels: readonly LabelExpression[];
}

/** `unsatisfiable`: no Pod can satisfy it. `inexpressible`: `match` cannot express it. */
export type DemandOutcome = 'expressed' | 'unsatisfiable' | 'inexpressible';

/**
 * A `match` under construction. It is changed in place, because a long list of filters would copy its names for each of
 * them.
 */
export class MatchDraft {
  private constructor(
    private namespaces: readonly string[] | undefined,
    private readonly excluded: Set<string>,
    private readonly labels: Map<string, LabelDemand>,
  ) {}

  static matchAll(): MatchDraft {
    return new MatchDraft(undefined, new Set(), new Map());
  }

  copy(): MatchDraft {
    return new MatchDraft(this.namespaces, new Set(this.excluded), new Map(this.labels));
  }

  /** Adds all of these conditions. The draft is unusable unless the result is `expressed`. */
  demandAll(wanted: Conjunction): DemandOutcome {
    let outcome: DemandOutcome = 'expressed';
    for (const { atom, holds } of wanted) {
      // Even if nothing can match any more, the rest must still be checked: the result must not depend on the order.
      const draft: MatchDraft = outcome === 'expressed' ? this : MatchDraft.matchAll();
      const next: DemandOutcome = draft.demand(atom, holds);
      if (next === 'inexpressible') return next;
      if (next === 'unsatisfiable') outcome = next;
    }
    return outcome;
  }

  private demand(atom: Atom, holds: boolean): DemandOutcome {
    if (atom.field.of === 'labels') return this.demandLabel(atom, holds);
    const isNamespace = atom.field.of === 'metadata' && atom.field.name === 'namespace';
    const patterns = isNamespace ? namespacePatterns(atom) : undefined;
    if (patterns === undefined) return 'inexpressible';
    return holds ? this.demandNamespaces(patterns) : this.exclude(patterns);
  }

  private demandLabel(atom: Atom, holds: boolean): DemandOutcome {
    if (!isLabelQuestion(atom)) return 'inexpressible';
    const { name: key } = atom.field;
    const demand = demandOf(this.labels.get(key) ?? NO_DEMAND, atom, holds);
    if (demand === undefined) return 'unsatisfiable';
    this.labels.set(key, demand);
    return 'expressed';
  }

  private demandNamespaces(patterns: readonly string[]): DemandOutcome {
    const namespaces = this.namespaces === undefined ? patterns : common(this.namespaces, patterns);
    if (namespaces === undefined) return 'inexpressible';
    this.namespaces = namespaces;
    return this.narrow([...this.excluded]);
  }

  private exclude(patterns: readonly string[]): DemandOutcome {
    for (const pattern of patterns) this.excluded.add(pattern);
    return this.narrow(patterns);
  }

  private narrow(excluded: readonly string[]): DemandOutcome {
    if (this.namespaces === undefined) return 'expressed';
    this.namespaces = this.namespaces.filter((name) => !excluded.some((pattern) => covers(pattern, name)));
    return this.namespaces.length === 0 ? 'unsatisfiable' : 'expressed';
  }

  /** The draft that matches either, if they differ only in `namespaces` and therefore have the same {@link restKey}. */
  static union(drafts: readonly [MatchDraft, ...MatchDraft[]]): MatchDraft {
    const [{ excluded, labels }] = drafts;
    const lists = drafts.map(({ namespaces }) => namespaces);
    const names = lists.every((list) => list !== undefined) ? anyOf(lists.flat()) : undefined;
    return new MatchDraft(names, excluded, labels);
  }

  /** All conditions except those on `namespaces`. */
  restKey(): string {
    const labels = this.labelExpressions().map(({ key, operator, values = [] }) => [key, operator, [...values].sort()]);
    return JSON.stringify([[...this.excluded].sort(), labels.map((label) => JSON.stringify(label)).sort()]);
  }

  /** Whether everything that satisfies `narrow` also satisfies this. */
  isWiderThan(narrow: MatchDraft): boolean {
    const { namespaces } = this;
    const hasNames =
      namespaces === undefined ||
      (narrow.namespaces?.every((name) => namespaces.some((pattern) => covers(pattern, name))) ?? false);
    return (
      hasNames &&
      [...this.excluded].every((name) => narrow.excluded.has(name)) &&
      [...this.labels].every(([key, demand]) => isWiderDemand(demand, narrow.labels.get(key) ?? NO_DEMAND))
    );
  }

  toMatch(): GatekeeperMatch {
    return {
      ...(this.namespaces !== undefined && { namespaces: this.namespaces }),
      excludedNamespaces: [...this.excluded],
      labels: this.labelExpressions(),
    };
  }

  private labelExpressions(): readonly LabelExpression[] {
    return [...this.labels].flatMap(([key, demand]) => labelExpressions(key, demand));
  }
}

/** Fewer drafts that together match the same Pods. */
export function minimal(drafts: readonly MatchDraft[]): readonly MatchDraft[] {
  if (drafts.length < 2) return drafts;
  const byRest = new Map<string, [MatchDraft, ...MatchDraft[]]>();
  for (const draft of drafts) {
    const key = draft.restKey();
    const same = byRest.get(key);
    if (same === undefined) byRest.set(key, [draft]);
    else same.push(draft);
  }
  const merged = [...byRest.values()].map((same) => MatchDraft.union(same));
  // The remaining ones differ in other conditions, so none includes another.
  return merged.filter((draft) => !merged.some((other) => other !== draft && other.isWiderThan(draft)));
}
