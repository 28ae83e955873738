import { InvalidPolicyOptionError } from './problem.js';

/**
 * Values from YAML or JavaScript can have any type. `check…` functions reject a value of another type and name the
 * option; the others return the value, and accept an absent one.
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

/** A non-empty text. */
export function text(value: unknown, option: string): string {
  if (typeof value === 'string' && value !== '') return value;
  return refuse(value, option, TEXT);
}

/** @returns undefined if absent */
export function boolean(value: unknown, option: string): boolean | undefined {
  if (value == null) return undefined;
  checkBoolean(value, option);
  return value;
}

/** @returns an empty list if absent */
export function list<Item>(value: readonly Item[] | null | undefined, option: string): readonly Item[] {
  if (value == null) return [];
  checkList(value, option);
  return value;
}

export function mapping<Value extends object>(value: Value | null | undefined, option: string): Value {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  return refuse(value, option, 'must be a mapping of keys to values');
}

/** @returns undefined if absent */
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
