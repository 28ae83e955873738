import type { Field } from './fields.js';

/**
 * A filter in a form that every engine supports. Total: an absent field equals nothing, starts with nothing and
 * contains nothing, so no engine ever raises an error.
 */
export type Predicate =
  | Atom
  | { readonly kind: 'constant'; readonly value: boolean }
  | { readonly kind: 'not'; readonly operand: Predicate }
  | { readonly kind: 'and' | 'or'; readonly operands: readonly Predicate[] };

/** One condition on one field. */
export type Atom =
  | { readonly kind: 'present'; readonly field: Field }
  /** One of `texts`. */
  | { readonly kind: 'equals'; readonly field: Field; readonly texts: readonly string[] }
  | { readonly kind: 'startsWith' | 'endsWith' | 'contains'; readonly field: Field; readonly text: string };

export const ALWAYS: Predicate = { kind: 'constant', value: true };
export const NEVER: Predicate = { kind: 'constant', value: false };

export function not(operand: Predicate): Predicate {
  if (operand.kind === 'constant') return operand.value ? NEVER : ALWAYS;
  return operand.kind === 'not' ? operand.operand : { kind: 'not', operand };
}

export function and(...operands: readonly Predicate[]): Predicate {
  return join('and', ALWAYS, NEVER, operands);
}

export function or(...operands: readonly Predicate[]): Predicate {
  return join('or', NEVER, ALWAYS, operands);
}

function join(
  kind: 'and' | 'or',
  identity: Predicate,
  absorbing: Predicate,
  operands: readonly Predicate[],
): Predicate {
  const flattened = operands
    .flatMap((operand) => (operand.kind === kind ? operand.operands : [operand]))
    .filter((operand) => operand !== identity);
  if (flattened.includes(absorbing)) return absorbing;
  const [only] = flattened;
  if (only === undefined) return identity;
  return flattened.length === 1 ? only : { kind, operands: flattened };
}

/** Whether it depends on a container, not only on its Pod. */
export function readsContainer(predicate: Predicate): boolean {
  return fieldsOf(predicate).some(({ of }) => of === 'container');
}

export function fieldsOf(predicate: Predicate): readonly Field[] {
  switch (predicate.kind) {
    case 'constant':
      return [];
    case 'not':
      return fieldsOf(predicate.operand);
    case 'and':
    case 'or':
      return predicate.operands.flatMap(fieldsOf);
    default:
      return [predicate.field];
  }
}

/** Every text that an engine's expression would quote, including field names. */
export function textsOf(predicate: Predicate): readonly string[] {
  switch (predicate.kind) {
    case 'constant':
      return [];
    case 'not':
      return textsOf(predicate.operand);
    case 'and':
    case 'or':
      return predicate.operands.flatMap(textsOf);
    case 'present':
      return [predicate.field.name];
    case 'equals':
      return [predicate.field.name, ...predicate.texts];
    default:
      return [predicate.field.name, predicate.text];
  }
}
