import type { GatekeeperAssignObject } from '../objects.js';
import type { Atom } from './predicate.js';

type Match = GatekeeperAssignObject['spec']['match'];
export type LabelExpression = NonNullable<Match['labelSelector']>['matchExpressions'][number];

/** All conditions on one label. Never contradictory, and without duplicates. */
export type LabelDemand =
  | { readonly is: 'absent' }
  | { readonly is: 'in'; readonly values: readonly string[] }
  /** `NotIn` also matches an absent label. */
  | { readonly is: 'open'; readonly exists: boolean; readonly notIn: ReadonlySet<string> };

export const NO_DEMAND: LabelDemand = { is: 'open', exists: false, notIn: new Set() };

/** Whether a selector can express the condition. */
export function isLabelQuestion(atom: Atom): boolean {
  if (!isLabelKey(atom.field.name)) return false;
  return atom.kind === 'present' || (atom.kind === 'equals' && atom.texts.every(isLabelValue));
}

/** Adds the condition with the result `holds` to `demand`; undefined if no label satisfies both. */
export function demandOf(demand: LabelDemand, atom: Atom, holds: boolean): LabelDemand | undefined {
  if (atom.kind === 'equals') return holds ? keepValues(demand, atom.texts) : excludeValues(demand, atom.texts);
  if (holds) {
    if (demand.is === 'open') return { ...demand, exists: true };
    return demand.is === 'absent' ? undefined : demand;
  }
  return demand.is === 'in' || (demand.is === 'open' && demand.exists) ? undefined : { is: 'absent' };
}

function keepValues(demand: LabelDemand, texts: readonly string[]): LabelDemand | undefined {
  if (demand.is === 'absent') return undefined;
  const isAllowed = (text: string): boolean =>
    demand.is === 'in' ? demand.values.includes(text) : !demand.notIn.has(text);
  const values = [...new Set(texts)].filter(isAllowed);
  return values.length === 0 ? undefined : { is: 'in', values };
}

function excludeValues(demand: LabelDemand, texts: readonly string[]): LabelDemand | undefined {
  if (demand.is === 'absent') return demand;
  if (demand.is === 'open') return { ...demand, notIn: new Set([...demand.notIn, ...texts]) };
  const values = demand.values.filter((value) => !texts.includes(value));
  return values.length === 0 ? undefined : { is: 'in', values };
}

/** Whether every label that satisfies `narrow` also satisfies `wide`. */
export function isWiderDemand(wide: LabelDemand, narrow: LabelDemand): boolean {
  if (wide.is === 'absent') return narrow.is === 'absent';
  if (wide.is === 'in') return narrow.is === 'in' && narrow.values.every((value) => wide.values.includes(value));
  if (narrow.is === 'absent') return !wide.exists;
  if (narrow.is === 'in') return !narrow.values.some((value) => wide.notIn.has(value));
  const { notIn } = narrow;
  return (narrow.exists || !wide.exists) && [...wide.notIn].every((value) => notIn.has(value));
}

export function labelExpressions(key: string, demand: LabelDemand): readonly LabelExpression[] {
  if (demand.is === 'absent') return [{ key, operator: 'DoesNotExist' }];
  if (demand.is === 'in') return [{ key, operator: 'In', values: demand.values }];
  return [
    ...(demand.exists ? [{ key, operator: 'Exists' } as const] : []),
    ...(demand.notIn.size > 0 ? [{ key, operator: 'NotIn', values: [...demand.notIn] } as const] : []),
  ];
}

function isLabelValue(text: string): boolean {
  return /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/.test(text);
}

function isLabelKey(text: string): boolean {
  return /^(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(text);
}
