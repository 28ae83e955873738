import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';

/** From YAML, or from JavaScript, anything can come: each says of a value of another shape which it is. */

export function text(value: unknown, option: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new InvalidPolicyOptionError(option, `${shown(value)} must be a text; in YAML, put quotes around it`);
}

/** @returns undefined for what is not there */
export function truth(value: unknown, option: string): boolean | undefined {
  if (value == null) return undefined;
  if (typeof value === 'boolean') return value;
  throw new InvalidPolicyOptionError(option, `${shown(value)} must be true or false`);
}

/** @returns an empty list for what is not there */
export function list<Item>(value: readonly Item[] | null | undefined, option: string): readonly Item[] {
  if (value == null) return [];
  if (Array.isArray(value)) return value as readonly Item[];
  throw new InvalidPolicyOptionError(option, `${shown(value)} must be a list`);
}

export function mapping<Value extends object>(value: Value | null | undefined, option: string): Value {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new InvalidPolicyOptionError(option, `${shown(value)} must be a mapping of keys to values`);
}

/** @returns undefined for what is not there */
export function oneOf<Choice extends string>(
  value: unknown,
  option: string,
  choices: readonly Choice[],
): Choice | undefined {
  if (value == null) return undefined;
  const choice = choices.find((known) => known === value);
  if (choice !== undefined) return choice;
  throw new InvalidPolicyOptionError(option, `${shown(value)} is none of ${choices.join(', ')}`);
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? 'nothing';
}
