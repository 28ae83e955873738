import { SKIP_KEY } from '../../decide/pod.js';
import type { Literal } from './alternatives.js';
import { or } from './predicate.js';
import type { Atom, Predicate } from './predicate.js';

const BY_LABEL: Atom = { kind: 'equals', field: { of: 'labels', name: SKIP_KEY }, texts: ['true'] };

/** A Pod that opted out, by label or annotation. */
export const OPTED_OUT: Predicate = or(BY_LABEL, {
  kind: 'equals',
  field: { of: 'annotations', name: SKIP_KEY },
  texts: ['true'],
});

/** The part of the opt-out conditions that Gatekeeper can see, negated. */
export const NOT_OPTED_OUT: Literal = { atom: BY_LABEL, holds: false };
