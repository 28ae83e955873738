import type { Node } from './ast.js';
import { FUNCTIONS } from './functions.js';
import type { FunctionEntry } from './functions.js';
import { ANY, NULL, baseTypes, elementTypes, fieldTypes, union } from './shapes.js';
import type { PossibleType, PossibleTypes } from './shapes.js';
import { typeOf } from './values.js';

type NodeOf<K extends Node['kind']> = Extract<Node, { kind: K }>;

/** Is notified of every part of the expression whose types decide whether it can work. */
export interface InferenceObserver {
  field?(node: NodeOf<'field'>, input: PossibleTypes): void;
  comparison?(node: NodeOf<'comparison'>, left: PossibleTypes, right: PossibleTypes): void;
  call?(node: NodeOf<'call'>, entry: FunctionEntry, args: readonly PossibleTypes[]): void;
}

const CONTEXT: PossibleTypes = new Set<PossibleType>(['context']);
const BOOLEAN: PossibleTypes = new Set<PossibleType>(['boolean']);

/**
 * The possible types of an expression over any Pod: never too few, often too many. Empty for expressions that can only
 * fail, such as a call of an unknown function.
 */
export function inferTypes(root: Node, observer: InferenceObserver = {}): PossibleTypes {
  return new Inference(observer).infer(root, CONTEXT);
}

class Inference {
  constructor(private readonly observer: InferenceObserver) {}

  infer(node: Node, input: PossibleTypes): PossibleTypes {
    switch (node.kind) {
      case 'current':
        return input;
      case 'literal':
        return new Set([typeOf(node.value)]);
      case 'field':
        this.observer.field?.(node, input);
        return fieldTypes(node.name, input);
      case 'index':
        return inferIndex(input);
      case 'slice':
        return arrayFrom(input, 'array');
      case 'chain':
        return this.infer(node.right, this.infer(node.left, input));
      case 'comparison':
        return this.#comparison(node, input);
      case 'not':
        return this.infer(node.operand, input).size === 0 ? new Set() : BOOLEAN;
      case 'or':
      case 'and':
        return this.#logical(node, input);
      case 'flatten':
      case 'projection':
      case 'filterProjection':
      case 'valueProjection':
        return this.#projection(node, input);
      case 'list':
        node.items.forEach((item) => this.infer(item, input));
        return orNull(input, 'array');
      case 'hash':
        node.entries.forEach(({ value }) => this.infer(value, input));
        return orNull(input, 'object');
      case 'call':
        return this.#call(node, input);
      case 'reference':
        this.infer(node.body, ANY);
        return new Set<PossibleType>(['expression']);
    }
  }

  #projection(
    node: NodeOf<'flatten' | 'projection' | 'filterProjection' | 'valueProjection'>,
    input: PossibleTypes,
  ): PossibleTypes {
    const source = this.infer(node.source, input);
    if (node.kind === 'flatten') return arrayFrom(source, 'array');
    // Elements are objects of any kind, unless the list is a known one; `a[]` flattens lists of lists.
    const elements = node.source.kind === 'flatten' ? ANY : elementTypes(source);
    if (node.kind === 'filterProjection') this.infer(node.condition, elements);
    this.infer(node.element, elements);
    return arrayFrom(source, node.kind === 'valueProjection' ? 'object' : 'array');
  }

  #comparison(node: NodeOf<'comparison'>, input: PossibleTypes): PossibleTypes {
    const [left, right] = [this.infer(node.left, input), this.infer(node.right, input)];
    this.observer.comparison?.(node, left, right);
    if (left.size === 0 || right.size === 0) return new Set();
    if (node.operator === '==' || node.operator === '!=') return BOOLEAN;
    return left.has('number') && right.has('number') ? new Set<PossibleType>(['boolean', 'null']) : NULL;
  }

  /** Numbers and expressions are always true, so `||` stops and `&&` continues; every other type can be either. */
  #logical(node: NodeOf<'or' | 'and'>, input: PossibleTypes): PossibleTypes {
    const left = this.infer(node.left, input);
    const right = this.infer(node.right, input);
    const kept = [...left].filter((type) => (node.kind === 'or' ? type !== 'null' : !ALWAYS_TRUE.has(type)));
    const mayContinue = [...left].some((type) => node.kind === 'and' || !ALWAYS_TRUE.has(type));
    return new Set([...kept, ...(mayContinue ? right : [])]);
  }

  #call(node: NodeOf<'call'>, input: PossibleTypes): PossibleTypes {
    const args = node.arguments.map((arg) => this.infer(arg, input));
    const entry = FUNCTIONS.get(node.name);
    if (entry === undefined || !entry.takes(node.arguments.length)) return new Set();
    this.observer.call?.(node, entry, args);
    return entry.returns === 'any' ? inferAny(args) : new Set(entry.returns);
  }
}

const ALWAYS_TRUE: ReadonlySet<PossibleType> = new Set<PossibleType>(['number', 'expression', 'context']);

function inferIndex(input: PossibleTypes): PossibleTypes {
  if (input.size === 0) return input;
  return baseTypes(input).has('array') ? union([elementTypes(input), NULL]) : NULL;
}

/** An array if the source can be projected, null if it can be anything else; an error on the left yields null. */
function arrayFrom(source: PossibleTypes, projected: 'array' | 'object'): PossibleTypes {
  const types = new Set<PossibleType>(['null']);
  if (baseTypes(source).has(projected)) types.add('array');
  return types;
}

function orNull(input: PossibleTypes, type: 'array' | 'object'): PossibleTypes {
  return input.has('null') ? new Set<PossibleType>([type, 'null']) : new Set<PossibleType>([type]);
}

/** `not_null`, `max_by` and `min_by` return one of their arguments or a part of it. */
function inferAny(types: readonly PossibleTypes[]): PossibleTypes {
  if (types.some((possible) => possible.size === 0)) return new Set();
  return types.some((possible) => baseTypes(possible).has('array')) ? ANY : union([...types, NULL]);
}
