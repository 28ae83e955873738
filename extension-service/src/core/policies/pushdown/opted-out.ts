import { SKIP_KEY } from '../../decide/pod.js';
import { or } from './predicate.js';
import type { Predicate } from './predicate.js';

/** A Pod that opted out, by label or annotation. */
export const OPTED_OUT: Predicate = or(
  { kind: 'equals', field: { of: 'labels', name: SKIP_KEY }, texts: ['true'] },
  { kind: 'equals', field: { of: 'annotations', name: SKIP_KEY }, texts: ['true'] },
);

/** What Gatekeeper can see of it. */
export const OPTED_OUT_LABEL = { key: SKIP_KEY, operator: 'NotIn', values: ['true'] } as const;
