import * as builtins from './builtins.js';
import { ofText, spendWork } from './work-budget.js';
import { EvaluationError } from './evaluation-error.js';
import { TYPE_TEXT, describe, typeOf } from './values.js';
import type { JsonObject, TypeName } from './values.js';

export type ParameterType = TypeName | 'any' | 'numbers' | 'strings';

export interface FunctionEntry {
  /** Accepted types of each argument; `numbers` and `strings` are arrays that contain nothing else. */
  readonly parameters: readonly (readonly ParameterType[])[];
  /** The last parameter may be repeated. As in Go, the argument types of a variadic function are not checked. */
  readonly variadic: boolean;
  readonly returns: readonly TypeName[] | 'any';
  /** Receives arguments of the right number and types. */
  takes(count: number): boolean;
  readonly call: (...args: readonly unknown[]) => unknown;
}

const ANY: FunctionEntry['parameters'] = [['any']];
const NUMBER: FunctionEntry['parameters'] = [['number']];
const NUMBERS: FunctionEntry['parameters'] = [['numbers']];
const OBJECT: FunctionEntry['parameters'] = [['object']];
const TWO_STRINGS: FunctionEntry['parameters'] = [['string'], ['string']];
const NUMBERS_OR_STRINGS: FunctionEntry['parameters'] = [['numbers', 'strings']];
const ARRAY_AND_EXPRESSION: FunctionEntry['parameters'] = [['array'], ['expression']];

/** The 26 functions of go-jmespath 0.4.0. */
export const FUNCTIONS: ReadonlyMap<string, FunctionEntry> = new Map([
  entry('abs', NUMBER, ['number'], (value: number) => Math.abs(value)),
  entry('avg', NUMBERS, ['number'], builtins.average),
  entry('ceil', NUMBER, ['number'], (value: number) => Math.ceil(value)),
  entry('contains', [['array', 'string'], ['any']], ['boolean'], builtins.contains),
  entry('ends_with', TWO_STRINGS, ['boolean'], (value: string, suffix: string) => value.endsWith(suffix)),
  entry('floor', NUMBER, ['number'], (value: number) => Math.floor(value)),
  entry('join', [['string'], ['strings']], ['string'], builtins.join),
  entry('keys', OBJECT, ['array'], (value: JsonObject) => Object.keys(value)),
  entry('length', [['string', 'array', 'object']], ['number'], builtins.size),
  entry('map', [['expression'], ['array']], ['array'], builtins.map),
  entry('max', NUMBERS_OR_STRINGS, ['number', 'string', 'null'], builtins.max),
  entry('max_by', ARRAY_AND_EXPRESSION, 'any', builtins.maxBy),
  variadic('merge', OBJECT, ['object'], builtins.merge),
  entry('min', NUMBERS_OR_STRINGS, ['number', 'string', 'null'], builtins.min),
  entry('min_by', ARRAY_AND_EXPRESSION, 'any', builtins.minBy),
  variadic('not_null', ANY, 'any', (...values: readonly unknown[]) => values.find((value) => value !== null) ?? null),
  entry('reverse', [['array', 'string']], ['array', 'string'], builtins.reverse),
  entry('sort', [['strings', 'numbers']], ['array'], builtins.sort),
  entry('sort_by', ARRAY_AND_EXPRESSION, ['array'], builtins.sortBy),
  entry('starts_with', TWO_STRINGS, ['boolean'], (value: string, prefix: string) => value.startsWith(prefix)),
  entry('sum', NUMBERS, ['number'], builtins.sum),
  entry('to_array', ANY, ['array'], (value: unknown) => (Array.isArray(value) ? (value as unknown) : [value])),
  entry('to_number', ANY, ['number', 'null'], builtins.toNumber),
  entry('to_string', ANY, ['string'], builtins.toText),
  entry('type', ANY, ['string'], builtins.typeNameOf),
  entry('values', OBJECT, ['array'], (value: JsonObject) => Object.values(value)),
]);

/** `call` receives its arguments only after their types were checked against `parameters`. */
function entry(
  name: string,
  parameters: FunctionEntry['parameters'],
  returns: FunctionEntry['returns'],
  call: (...args: never[]) => unknown,
): [string, FunctionEntry] {
  const takes = (count: number): boolean => count === parameters.length;
  return [name, { parameters, returns, variadic: false, takes, call: call as FunctionEntry['call'] }];
}

function variadic(
  name: string,
  parameters: FunctionEntry['parameters'],
  returns: FunctionEntry['returns'],
  call: (...args: readonly unknown[]) => unknown,
): [string, FunctionEntry] {
  const takes = (count: number): boolean => count >= parameters.length;
  return [name, { parameters, returns, variadic: true, takes, call }];
}

/** @throws EvaluationError if the number or the types of the arguments are wrong, or the function rejects them */
export function callFunction(name: string, entry: FunctionEntry, args: readonly unknown[]): unknown {
  const { parameters } = entry;
  for (const arg of args) spendWork(typeof arg === 'string' ? ofText(arg.length) : Array.isArray(arg) ? arg.length : 1);
  if (!entry.takes(args.length)) {
    throw new EvaluationError(`${name}() ${describeArity(entry)}, not ${args.length}`);
  }
  if (!entry.variadic) {
    for (let i = 0; i < parameters.length; i++) {
      const accepted = parameters[i] ?? [];
      if (!accepts(accepted, args[i])) {
        const expected = accepted.map((type) => EXPECTED[type]).join(' or ');
        throw new EvaluationError(`${name}() needs ${expected} as argument ${i + 1}, not ${describe(args[i])}`);
      }
    }
  }
  const result = entry.call(...args);
  if (Array.isArray(result)) spendWork(result.length);
  return result;
}

/** `takes 2 arguments` */
export function describeArity({ parameters, variadic }: FunctionEntry): string {
  const count = `${parameters.length} argument${parameters.length === 1 ? '' : 's'}`;
  return variadic ? `takes at least ${count}` : `takes ${count}`;
}

const EXPECTED: Readonly<Record<ParameterType, string>> = {
  ...TYPE_TEXT,
  any: 'any value',
  numbers: 'an array of numbers',
  strings: 'an array of strings',
};

function accepts(types: readonly ParameterType[], value: unknown): boolean {
  const actual = typeOf(value);
  for (const type of types) {
    if (type === actual || type === 'any') {
      return true;
    }
    if (
      actual === 'array' &&
      (type === 'numbers' || type === 'strings') &&
      containsOnly(value as readonly unknown[], type)
    ) {
      return true;
    }
  }
  return false;
}

function containsOnly(items: readonly unknown[], type: 'numbers' | 'strings'): boolean {
  const wanted = type === 'numbers' ? 'number' : 'string';
  return items.every((item) => typeof item === wanted);
}
