import { InvalidPolicyOptionError } from './problem.js';

/**
 * From YAML, or from JavaScript, anything can come. `check…` refuses a value of another shape and says which it is; the
 * others give it back, and take what is not there.
 */

const TEXT = 'must be a string; in YAML, put quotes around it';

export function checkText(value: unknown, option: string): asserts value is string {
  if (typeof value !== 'string') refuse(value, option, TEXT);
}

export function checkBoolean(value: unknown, option: string): asserts value is boolean {
  if (typeof value !== 'boolean') refuse(value, option, 'must be true or false');
}

export function checkList(value: unknown, option: string): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) refuse(value, option, 'must be a list');
}

/** One that says something. */
export function text(value: unknown, option: string): string {
  if (typeof value === 'string' && value !== '') return value;
  return refuse(value, option, TEXT);
}

/** @returns undefined for what is not there */
export function boolean(value: unknown, option: string): boolean | undefined {
  if (value == null) return undefined;
  checkBoolean(value, option);
  return value;
}

/** @returns an empty list for what is not there */
export function list<Item>(value: readonly Item[] | null | undefined, option: string): readonly Item[] {
  if (value == null) return [];
  checkList(value, option);
  return value;
}

export function mapping<Value extends object>(value: Value | null | undefined, option: string): Value {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  return refuse(value, option, 'must be a mapping of keys to values');
}

/** @returns undefined for what is not there */
export function oneOf<Choice extends string>(
  value: unknown,
  option: string,
  choices: readonly Choice[],
): Choice | undefined {
  if (value == null) return undefined;
  return choices.find((known) => known === value) ?? refuse(value, option, `is not one of ${choices.join(', ')}`);
}

function refuse(value: unknown, option: string, problem: string): never {
  const shown = JSON.stringify(value);
  throw new InvalidPolicyOptionError(option, shown === undefined ? `is missing: ${problem}` : `${shown} ${problem}`);
}
