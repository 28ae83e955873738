import type { Atom, Predicate } from './predicate.js';

/** A question about a field, and the answer that is wanted. */
export interface Literal {
  readonly atom: Atom;
  readonly holds: boolean;
}

/** All of these. */
export type Conjunction = readonly Literal[];

/** The ways in which the predicate is `holds`, one of which must be: its disjunctive normal form. Empty when it never is. */
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

/** The ways in which one of each holds. */
function both(left: readonly Conjunction[], right: readonly Conjunction[]): readonly Conjunction[] {
  return left.flatMap((one) => right.map((other) => [...one, ...other]));
}

/** A bound of how many {@link alternatives} there are, without making them. */
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
