import type { Node } from './ast.js';
import { FUNCTIONS } from './functions.js';
import { typeOf } from './values.js';
import type { TypeName } from './values.js';

/** What a value may be. `context` is the filter context itself: an object whose only fields are `obj` and `container`. */
export type PossibleType = TypeName | 'context';
export type PossibleTypes = ReadonlySet<PossibleType>;

const ANY: PossibleTypes = new Set<PossibleType>([
  'null',
  'boolean',
  'number',
  'string',
  'array',
  'object',
  'expression',
]);
const NULL: PossibleTypes = new Set<PossibleType>(['null']);
const BOOLEAN: PossibleTypes = new Set<PossibleType>(['boolean']);
const OBJECT: PossibleTypes = new Set<PossibleType>(['object']);

/** The fields that a filter context has, see FilterContext. */
const CONTEXT_FIELDS: ReadonlySet<string> = new Set(['obj', 'container']);

/**
 * The types that an expression can have over any Pod: never too few, often too many. Empty for what can only fail, such
 * as a call of an unknown function.
 */
export function inferTypes(node: Node, input: PossibleTypes = new Set<PossibleType>(['context'])): PossibleTypes {
  switch (node.kind) {
    case 'current':
      return input;
    case 'literal':
      return new Set([typeOf(node.value)]);
    case 'field':
      return inferField(node.name, input);
    case 'index':
      return input.has('array') ? ANY : input.size === 0 ? input : NULL;
    case 'slice':
      return arrayFrom(input, 'array');
    case 'chain':
      return inferTypes(node.right, inferTypes(node.left, input));
    case 'comparison':
      return inferComparison(node, input);
    case 'not':
      return inferTypes(node.operand, input).size === 0 ? new Set() : BOOLEAN;
    case 'or':
    case 'and':
      return inferLogical(node, input);
    case 'flatten':
    case 'projection':
    case 'filterProjection':
      return arrayFrom(inferTypes(node.source, input), 'array');
    case 'valueProjection':
      return arrayFrom(inferTypes(node.source, input), 'object');
    case 'list':
      return orNull(input, 'array');
    case 'hash':
      return orNull(input, 'object');
    case 'call':
      return inferCall(node, input);
    case 'reference':
      return new Set<PossibleType>(['expression']);
  }
}

function inferField(name: string, input: PossibleTypes): PossibleTypes {
  if (input.has('object')) {
    return ANY;
  }
  if (input.has('context')) {
    return CONTEXT_FIELDS.has(name) ? OBJECT : NULL;
  }
  return input.size === 0 ? input : NULL;
}

/** An array when the source can be projected, null when it can be anything else; an error on the left gives null. */
function arrayFrom(source: PossibleTypes, projected: 'array' | 'object'): PossibleTypes {
  const types = new Set<PossibleType>(['null']);
  if (source.has(projected) || (projected === 'object' && source.has('context'))) {
    types.add('array');
  }
  return types;
}

function orNull(input: PossibleTypes, type: 'array' | 'object'): PossibleTypes {
  return input.has('null') ? new Set<PossibleType>([type, 'null']) : new Set<PossibleType>([type]);
}

function inferComparison(node: Extract<Node, { kind: 'comparison' }>, input: PossibleTypes): PossibleTypes {
  const [left, right] = [inferTypes(node.left, input), inferTypes(node.right, input)];
  if (left.size === 0 || right.size === 0) {
    return new Set();
  }
  if (node.operator === '==' || node.operator === '!=') {
    return BOOLEAN;
  }
  return left.has('number') && right.has('number') ? new Set<PossibleType>(['boolean', 'null']) : NULL;
}

/** Numbers and expressions are always true, so `||` stops and `&&` goes on; every other type can be either. */
function inferLogical(node: Extract<Node, { kind: 'or' | 'and' }>, input: PossibleTypes): PossibleTypes {
  const left = inferTypes(node.left, input);
  const right = inferTypes(node.right, input);
  const kept = [...left].filter((type) => (node.kind === 'or' ? type !== 'null' : !ALWAYS_TRUE.has(type)));
  const goesOn = [...left].some((type) => node.kind === 'and' || !ALWAYS_TRUE.has(type));
  return new Set([...kept, ...(goesOn ? right : [])]);
}

const ALWAYS_TRUE: ReadonlySet<PossibleType> = new Set<PossibleType>(['number', 'expression', 'context']);

function inferCall(node: Extract<Node, { kind: 'call' }>, input: PossibleTypes): PossibleTypes {
  const entry = FUNCTIONS.get(node.name);
  if (entry === undefined || !entry.takes(node.arguments.length)) {
    return new Set();
  }
  return entry.returns === 'any' ? inferAny(node.arguments, input) : new Set(entry.returns);
}

/** `not_null`, `max_by` and `min_by` give one of their arguments or something out of it. */
function inferAny(args: readonly Node[], input: PossibleTypes): PossibleTypes {
  const types = args.map((arg) => inferTypes(arg, input));
  if (types.some((possible) => possible.size === 0)) {
    return new Set();
  }
  return types.some((possible) => possible.has('array'))
    ? ANY
    : new Set([...types.flatMap((possible) => [...possible]), 'null']);
}
