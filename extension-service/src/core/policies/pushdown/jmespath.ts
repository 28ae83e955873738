import { jmespathIdentifier, jmespathString } from '../literals.js';
import type { Field } from './fields.js';
import type { Predicate } from './predicate.js';

/**
 * JMESPath for the predicate as ClusterPolicy evaluates it: a boolean that raises no error, although Kyverno raises one
 * for a missing path.
 */
export function kyvernoJmespathOf(predicate: Predicate, option: string): string {
  switch (predicate.kind) {
    case 'constant':
      return `\`${predicate.value}\``;
    case 'present':
      return `contains(keys(${parent(predicate.field)} || \`{}\`), ${jmespathString(predicate.field.name, option)})`;
    case 'equals': {
      const tests = predicate.texts.map((text) =>
        text === ''
          ? isEmptyField(predicate.field, option)
          : `${read(predicate.field, option)} == ${jmespathString(text, option)}`,
      );
      return `(${tests.join(' || ')})`;
    }
    case 'startsWith':
    case 'endsWith':
    case 'contains': {
      const name = { startsWith: 'starts_with', endsWith: 'ends_with', contains: 'contains' }[predicate.kind];
      const test = `${name}(${read(predicate.field, option)}, ${jmespathString(predicate.text, option)})`;
      // Every string starts with the empty string, including an absent one, which counts as empty.
      return predicate.text === '' ? kyvernoJmespathOf({ kind: 'present', field: predicate.field }, option) : test;
    }
    case 'not':
      return `!${kyvernoJmespathOf(predicate.operand, option)}`;
    case 'and':
    case 'or': {
      const operands = predicate.operands.map((operand) => kyvernoJmespathOf(operand, option));
      return `(${operands.join(predicate.kind === 'and' ? ' && ' : ' || ')})`;
    }
  }
}

function isEmptyField(field: Field, option: string): string {
  return `(${kyvernoJmespathOf({ kind: 'present', field }, option)} && ${read(field, option)} == '')`;
}

/** An absent field counts as the empty string. */
function read(field: Field, option: string): string {
  return `(${parent(field)}.${jmespathIdentifier(field.name, option)} || '')`;
}

function parent(field: Field): string {
  switch (field.of) {
    case 'metadata':
    case 'spec':
      return `request.object.${field.of}`;
    case 'labels':
    case 'annotations':
      return `request.object.metadata.${field.of}`;
    case 'container':
      // Inside the filter over the containers, the container is the current value.
      return '@';
  }
}
