import { spendWork } from './work-budget.js';

/** The value of `&expression`. It has no properties of its own, so no expression can look inside. */
export class ExpressionReference {
  readonly #evaluate: (value: unknown) => unknown;
  constructor(evaluate: (value: unknown) => unknown) {
    this.#evaluate = evaluate;
  }

  evaluate(value: unknown): unknown {
    return this.#evaluate(value);
  }
}

export type JsonObject = Readonly<Record<string, unknown>>;

export type TypeName = 'null' | 'boolean' | 'number' | 'string' | 'array' | 'object' | 'expression';

export function typeOf(value: unknown): TypeName {
  switch (typeof value) {
    case 'boolean':
    case 'number':
    case 'string':
      return typeof value as TypeName;
    case 'object':
      if (value === null) {
        return 'null';
      }
      if (Array.isArray(value)) {
        return 'array';
      }
      return value instanceof ExpressionReference ? 'expression' : 'object';
    default:
      return 'null';
  }
}

export const TYPE_TEXT: Readonly<Record<TypeName, string>> = {
  null: 'null',
  boolean: 'a boolean',
  number: 'a number',
  string: 'a string',
  array: 'an array',
  object: 'an object',
  expression: 'an expression (&…)',
};

/** The type of a value for messages: a value itself may be a secret of the Pod. */
export function describe(value: unknown): string {
  return TYPE_TEXT[typeOf(value)];
}

/** Arrays of a JSON value hold anything; `Array.isArray` would call it `any`. */
export function isArray(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

export function isObject(value: unknown): value is JsonObject {
  return typeOf(value) === 'object';
}

/** An own property or null: inherited properties (`constructor`, `toString`) are not part of the document. */
export function readField(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) {
    return null;
  }
  return (value as JsonObject)[name] ?? null;
}

/** Sets an own property, even if it is named `__proto__`. */
export function setField(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__') {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
  } else {
    object[name] = value;
  }
}

/** Falsy values in JMESPath: null, false, and an empty string, array or object. Zero is true. */
export function isFalse(value: unknown): boolean {
  switch (typeOf(value)) {
    case 'null':
      return true;
    case 'boolean':
      return value === false;
    case 'string':
      return value === '';
    case 'array':
      return (value as readonly unknown[]).length === 0;
    case 'object':
      return Object.keys(value as JsonObject).length === 0;
    case 'number':
    case 'expression':
      return false;
  }
}

/** Go's reflect.DeepEqual on JSON values. */
export function isEqual(left: unknown, right: unknown): boolean {
  if (left === right) {
    return true;
  }
  if (isArray(left)) {
    spendWork(left.length);
    return isArray(right) && left.length === right.length && left.every((item, i) => isEqual(item, right[i]));
  }
  if (!isObject(left) || !isObject(right)) {
    return false;
  }
  const keys = Object.keys(left);
  spendWork(keys.length);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && isEqual(left[key], right[key]))
  );
}

/** Order of UTF-8 bytes, as in Go: by code point, while JavaScript puts U+1F600 before U+FF5E. */
export function compareStrings(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const a = left.charCodeAt(i);
    const b = right.charCodeAt(i);
    if (a !== b) {
      return byteRank(a) - byteRank(b);
    }
  }
  return left.length - right.length;
}

/** Surrogates stand for code points above every other unit. */
function byteRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** Code points. */
export function lengthOf(text: string): number {
  let length = text.length;
  for (let i = 1; i < text.length; i++) {
    const previous = text.charCodeAt(i - 1);
    const unit = text.charCodeAt(i);
    if (unit >= 0xdc00 && unit <= 0xdfff && previous >= 0xd800 && previous <= 0xdbff) {
      length--;
    }
  }
  return length;
}
