import { ofText, spendWork } from './work-budget.js';
import { EvaluationError } from './evaluation-error.js';
import { compareStrings, isArray, isObject } from './values.js';

/**
 * JSON as Go's json.Marshal writes it, for `to_string`: keys in byte order, `<`, `>` and `&` escaped.
 *
 * @throws EvaluationError for NaN and infinities, which JSON cannot hold
 */
export function toJson(value: unknown): string {
  if (typeof value === 'number') {
    return numberToJson(value);
  }
  if (typeof value === 'string') {
    return stringToJson(value);
  }
  if (isArray(value)) {
    spendWork(value.length);
    return `[${value.map(toJson).join(',')}]`;
  }
  if (isObject(value)) {
    const names = Object.keys(value).sort(compareStrings);
    spendWork(names.length);
    return `{${names.map((name) => `${stringToJson(name)}:${toJson(value[name])}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}

function numberToJson(value: number): string {
  if (!Number.isFinite(value)) {
    throw new EvaluationError(`to_string() cannot write the number ${value}`);
  }
  return Object.is(value, -0) ? '-0' : String(value);
}

function stringToJson(value: string): string {
  spendWork(ofText(value.length));
  return JSON.stringify(value).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
