import type { Field } from './fields.js';
import type { Predicate } from './predicate.js';

/** Whether the predicate is true for a Pod and one of its containers, as filters see them. */
export function holds(predicate: Predicate, pod: unknown, container: unknown): boolean {
  const value = (field: Field): string | undefined => read(field, pod, container);
  switch (predicate.kind) {
    case 'constant':
      return predicate.value;
    case 'present':
      return value(predicate.field) !== undefined;
    case 'equals':
      return predicate.texts.some((text) => value(predicate.field) === text);
    case 'startsWith':
      return value(predicate.field)?.startsWith(predicate.text) === true;
    case 'endsWith':
      return value(predicate.field)?.endsWith(predicate.text) === true;
    case 'contains':
      return value(predicate.field)?.includes(predicate.text) === true;
    case 'not':
      return !holds(predicate.operand, pod, container);
    case 'and':
      return predicate.operands.every((operand) => holds(operand, pod, container));
    case 'or':
      return predicate.operands.some((operand) => holds(operand, pod, container));
  }
}

const PARENTS = {
  metadata: ['metadata'],
  labels: ['metadata', 'labels'],
  annotations: ['metadata', 'annotations'],
  spec: ['spec'],
  container: [],
} as const;

/** Undefined for an absent field, and for a value that is not a string, which the API server would reject. */
function read(field: Field, pod: unknown, container: unknown): string | undefined {
  let current: unknown = field.of === 'container' ? container : pod;
  for (const name of [...PARENTS[field.of], field.name]) {
    const isThere = typeof current === 'object' && current !== null && Object.hasOwn(current, name);
    current = isThere ? (current as Record<string, unknown>)[name] : undefined;
  }
  return typeof current === 'string' ? current : undefined;
}
