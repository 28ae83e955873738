import { celString } from '../literals.js';
import type { Field } from './fields.js';
import type { Predicate } from './predicate.js';

/** CEL for the predicate over `object`, and over `c` for a container. It raises no error for any Pod. */
export function celOf(predicate: Predicate, option: string): string {
  switch (predicate.kind) {
    case 'constant':
      return String(predicate.value);
    case 'present':
      return present(predicate.field, option);
    case 'equals': {
      const texts = predicate.texts.map((text) => celString(text, option));
      const [only = ''] = texts;
      const value = read(predicate.field, option);
      const test = texts.length === 1 ? `${value} == ${only}` : `${value} in [${texts.join(', ')}]`;
      return `(${present(predicate.field, option)} && ${test})`;
    }
    case 'startsWith':
    case 'endsWith':
    case 'contains': {
      const test = `${read(predicate.field, option)}.${predicate.kind}(${celString(predicate.text, option)})`;
      return `(${present(predicate.field, option)} && ${test})`;
    }
    case 'not':
      return `!${celOf(predicate.operand, option)}`;
    case 'and':
    case 'or':
      return `(${predicate.operands.map((operand) => celOf(operand, option)).join(predicate.kind === 'and' ? ' && ' : ' || ')})`;
  }
}

function present(field: Field, option: string): string {
  switch (field.of) {
    case 'labels':
    case 'annotations':
      return `(has(object.metadata.${field.of}) && ${celString(field.name, option)} in object.metadata.${field.of})`;
    default:
      return `has(${read(field, option)})`;
  }
}

function read(field: Field, option: string): string {
  switch (field.of) {
    case 'metadata':
    case 'spec':
      return `object.${field.of}.${field.name}`;
    case 'container':
      return `c.${field.name}`;
    case 'labels':
    case 'annotations':
      return `object.metadata.${field.of}[${celString(field.name, option)}]`;
  }
}
