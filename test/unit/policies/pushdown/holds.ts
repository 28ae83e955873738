import type { Field } from '../../../../extension-service/src/core/policies/pushdown/fields.js';
import type { Predicate } from '../../../../extension-service/src/core/policies/pushdown/predicate.js';

/** Reference implementation of predicates. */
export function holds(predicate: Predicate, pod: unknown, container: unknown): boolean {
  const value = (field: Field): string | undefined => {
    const path = { metadata: ['metadata'], labels: ['metadata', 'labels'], annotations: ['metadata', 'annotations'] };
    const parents = field.of === 'spec' ? ['spec'] : field.of === 'container' ? [] : path[field.of];
    let current: unknown = field.of === 'container' ? container : pod;
    for (const name of [...parents, field.name]) {
      const isThere = typeof current === 'object' && current !== null && Object.hasOwn(current, name);
      current = isThere ? (current as Record<string, unknown>)[name] : undefined;
    }
    return current as string | undefined;
  };
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
