import type { Atom, Predicate } from './predicate.js';

/** A condition on a field, and its required result. */
export interface Literal {
  readonly atom: Atom;
  readonly holds: boolean;
}

/** All of these must hold. */
export type Conjunction = readonly Literal[];

/** The ways in which the predicate equals `holds`, as its disjunctive normal form. Empty if it never does. */
export function alternatives(predicate: Predicate, holds: boolean): readonly Conjunction[] {
  switch (predicate.kind) {
    case 'constant':
      return predicate.value === holds ? [[]] : [];
    case 'not':
      return alternatives(predicate.operand, !holds);
    case 'and':
    case 'or': {
      const parts = predicate.operands.map((operand) => alternatives(operand, holds));
      // Not (a and b) is (not a) or (not b).
      return (predicate.kind === 'and') === holds ? parts.reduce(both, [[]]) : parts.flat();
    }
    default:
      return [[{ atom: predicate, holds }]];
  }
}

/** All combinations of one from each. */
function both(left: readonly Conjunction[], right: readonly Conjunction[]): readonly Conjunction[] {
  return left.flatMap((one) => right.map((other) => [...one, ...other]));
}

/** An upper bound on the number of {@link alternatives}, without computing them. */
export function countAlternatives(predicate: Predicate, holds: boolean): number {
  switch (predicate.kind) {
    case 'constant':
      return predicate.value === holds ? 1 : 0;
    case 'not':
      return countAlternatives(predicate.operand, !holds);
    case 'and':
    case 'or': {
      const counts = predicate.operands.map((operand) => countAlternatives(operand, holds));
      return (predicate.kind === 'and') === holds
        ? counts.reduce((product, count) => product * count, 1)
        : counts.reduce((sum, count) => sum + count, 0);
    }
    default:
      return 1;
  }
}
