import { ofText, spendWork } from './work-budget.js';
import { EvaluationError, FatalEvaluationError } from './evaluation-error.js';
import { toJson } from './json.js';
import { parseNumber } from './numbers.js';
import { compareStrings, describe, isArray, isObject, lengthOf, setField, typeOf } from './values.js';
import type { JsonObject, TypeName, ExpressionReference } from './values.js';

/**
 * The functions that need more than a line, with the quirks of go-jmespath's source. None of them changes its arguments,
 * because they belong to the Pod.
 */

type Values = readonly unknown[];
/** 1 for the maximum, -1 for the minimum. */
type Direction = 1 | -1;

export function contains(where: string | Values, what: unknown): boolean {
  if (typeof where === 'string') {
    return typeof what === 'string' && where.includes(what);
  }
  const composite = typeof what === 'object' && what !== null;
  for (const item of where) {
    if (composite && typeOf(item) === typeOf(what)) {
      // As in Go, where == is not defined for maps and slices.
      throw new FatalEvaluationError(`contains() cannot look for ${describe(what)} among others`);
    }
    if (item === what) {
      return true;
    }
  }
  return false;
}

/** Number of code points of a string, elements of an array, or fields of an object. */
export function size(value: string | Values | JsonObject): number {
  if (typeof value === 'string') {
    return lengthOf(value);
  }
  if (isArray(value)) {
    return value.length;
  }
  const { length } = Object.keys(value);
  spendWork(length);
  return length;
}

export function sum(items: readonly number[]): number {
  return items.reduce((total, item) => total + item, 0);
}

/** NaN for an empty array, as in Go: 0 / 0. */
export function average(items: readonly number[]): number {
  return sum(items) / items.length;
}

export function join(separator: string, items: readonly string[]): string {
  spendWork(items.reduce((sum, item) => sum + ofText(item.length + separator.length), 0));
  return items.join(separator);
}

export function map(expression: ExpressionReference, items: Values): Values {
  return items.map((item) => expression.evaluate(item));
}

export function max(items: Values): unknown {
  return best(items, 1);
}

export function min(items: Values): unknown {
  return best(items, -1);
}

export function maxBy(items: Values, expression: ExpressionReference): unknown {
  return bestBy(items, expression, 1);
}

export function minBy(items: Values, expression: ExpressionReference): unknown {
  return bestBy(items, expression, -1);
}

export function sort(items: Values): Values {
  return [...items].sort(compareScalars);
}

/**
 * A new array: go-jmespath sorts the Pod itself, which changes the order for later expressions. We do not repeat that.
 */
export function sortBy(items: Values, expression: ExpressionReference): Values {
  if (items.length < 2) {
    return items;
  }
  const keys = sortKeys(items, expression);
  return items
    .map((item, i) => ({ item, key: keys[i] }))
    .sort((left, right) => compareScalars(left.key, right.key))
    .map(({ item }) => item);
}

export function merge(...objects: Values): JsonObject {
  const merged: Record<string, unknown> = {};
  for (const object of objects) {
    if (!isObject(object)) {
      throw new FatalEvaluationError(`merge() needs objects, not ${describe(object)}`);
    }
    const names = Object.keys(object);
    spendWork(names.length);
    for (const name of names) {
      setField(merged, name, object[name]);
    }
  }
  return merged;
}

export function reverse(value: string | Values): string | Values {
  return typeof value === 'string' ? [...value].reverse().join('') : [...value].reverse();
}

export function toNumber(value: unknown): number | null {
  if (typeof value === 'number') {
    return value;
  }
  typeNameOf(value);
  return typeof value === 'string' ? parseNumber(value) : null;
}

export function toText(value: unknown): string {
  return typeof value === 'string' ? value : toJson(value);
}

export function typeNameOf(value: unknown): TypeName {
  const type = typeOf(value);
  if (type === 'expression') {
    throw new EvaluationError('an expression (&…) has no type');
  }
  return type;
}

/** NaN before every other number, as in Go's sort; equal items keep their order. */
function compareScalars(left: unknown, right: unknown): number {
  if (typeof left === 'string' && typeof right === 'string') {
    return compareStrings(left, right);
  }
  const [a, b] = [left as number, right as number];
  if (Number.isNaN(a) || Number.isNaN(b)) {
    return Number(Number.isNaN(b)) - Number(Number.isNaN(a));
  }
  return a < b ? -1 : Number(a > b);
}

/** Only strictly better values win, so NaN never replaces a value, and the first of equal values stays. */
function isBetter(candidate: unknown, current: unknown, direction: Direction): boolean {
  if (typeof candidate === 'string' && typeof current === 'string') {
    return compareStrings(candidate, current) * direction > 0;
  }
  const [a, b] = [candidate as number, current as number];
  return direction === 1 ? a > b : a < b;
}

function best(items: Values, direction: Direction): unknown {
  return items.length === 0 ? null : items.reduce((top, item) => (isBetter(item, top, direction) ? item : top));
}

/** A single item is returned without evaluating its key, as in Go. */
function bestBy(items: Values, expression: ExpressionReference, direction: Direction): unknown {
  if (items.length < 2) {
    return items[0] ?? null;
  }
  const keys = sortKeys(items, expression);
  let top = 0;
  for (let i = 1; i < keys.length; i++) {
    if (isBetter(keys[i], keys[top], direction)) {
      top = i;
    }
  }
  return items[top];
}

function sortKeys(items: Values, expression: ExpressionReference): Values {
  const keys = items.map((item) => expression.evaluate(item));
  const type = typeOf(keys[0]);
  if ((type !== 'number' && type !== 'string') || keys.some((key) => typeOf(key) !== type)) {
    throw new EvaluationError('the expression must return a number for every item, or a string for every item');
  }
  return keys;
}
