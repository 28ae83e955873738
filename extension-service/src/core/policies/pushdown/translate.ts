import type { Node } from '../../filters/ast.js';
import { fieldOf, isAlwaysPresent, isSameField } from './fields.js';
import type { Field } from './fields.js';
import { and, NEVER, not, or, ALWAYS } from './predicate.js';
import type { Predicate } from './predicate.js';

/** Fields that are known to be strings when an expression is evaluated, because of earlier conditions. */
type KnownFields = readonly Field[];

/** When an expression is truthy in `&&`, `||` and `!`, and when its value is exactly `true`, as a filter requires. */
interface Meaning {
  readonly truthy: Predicate;
  readonly isTrue: Predicate;
  /** Fields that are strings if the expression is truthy, and if it is not. */
  readonly whenTruthy: KnownFields;
  readonly whenFalsy: KnownFields;
}

/**
 * When the filter is exactly `true`; undefined if this form cannot express it. A translated expression raises no error
 * for any Pod that the API server admits.
 */
export function translate(node: Node): Predicate | undefined {
  return meaningOf(node, [])?.isTrue;
}

/** When the expression is `true` and when it is truthy; undefined as for {@link translate}. */
export function exactMeaning(node: Node): Pick<Meaning, 'isTrue' | 'truthy'> | undefined {
  return meaningOf(node, []);
}

function meaningOf(node: Node, known: KnownFields): Meaning | undefined {
  const field = fieldOf(node);
  if (field !== undefined) {
    // The empty string is falsy in JMESPath; a string is never `true`.
    const truthy = and({ kind: 'present', field }, not({ kind: 'equals', field, texts: [''] }));
    return { truthy, isTrue: NEVER, whenTruthy: [field], whenFalsy: [] };
  }
  switch (node.kind) {
    case 'literal':
      return constant(node.value);
    case 'comparison':
      return comparison(node, known);
    case 'not': {
      const operand = meaningOf(node.operand, known);
      if (operand === undefined) return undefined;
      const truthy = not(operand.truthy);
      return { truthy, isTrue: truthy, whenTruthy: operand.whenFalsy, whenFalsy: operand.whenTruthy };
    }
    case 'and':
    case 'or':
      return logical(node, known);
    case 'call':
      return call(node, known);
    default:
      return undefined;
  }
}

function constant(value: unknown): Meaning | undefined {
  // Other values have their own rules and are not useful in a filter.
  if (value !== null && typeof value !== 'boolean' && typeof value !== 'string') return undefined;
  const truthy = value !== null && value !== false && value !== '' ? ALWAYS : NEVER;
  return { truthy, isTrue: value === true ? ALWAYS : NEVER, whenTruthy: [], whenFalsy: [] };
}

type LogicalNode = Extract<Node, { kind: 'and' | 'or' }>;

/** `a && b` is `a` if that is falsy, else `b`; `a || b` is `a` if that is truthy, else `b`. */
function logical(node: LogicalNode, known: KnownFields): Meaning | undefined {
  const left = meaningOf(node.left, known);
  if (left === undefined) return undefined;
  const right = meaningOf(node.right, [...known, ...(node.kind === 'and' ? left.whenTruthy : left.whenFalsy)]);
  if (right === undefined) return undefined;
  const join = node.kind === 'and' ? and : or;
  const truthy = join(left.truthy, right.truthy);
  const isBoolean = left.isTrue === left.truthy && right.isTrue === right.truthy;
  if (node.kind === 'and') {
    return {
      truthy,
      isTrue: isBoolean ? truthy : and(left.truthy, right.isTrue),
      whenTruthy: [...left.whenTruthy, ...right.whenTruthy],
      whenFalsy: [],
    };
  }
  return {
    truthy,
    isTrue: isBoolean ? truthy : or(left.isTrue, and(not(left.truthy), right.isTrue)),
    whenTruthy: [],
    whenFalsy: [...left.whenFalsy, ...right.whenFalsy],
  };
}

type ComparisonNode = Extract<Node, { kind: 'comparison' }>;

function comparison({ operator, left, right }: ComparisonNode, known: KnownFields): Meaning | undefined {
  if (operator !== '==' && operator !== '!=') return undefined;
  const [field, other] = fieldOf(left) === undefined ? [fieldOf(right), left] : [fieldOf(left), right];
  const value = literalOf(other);
  if (field === undefined || value === undefined) return undefined;
  let equal: Predicate;
  // A string never equals a number, boolean, list or object.
  if (value.is === null) equal = isKnown(field, known) ? NEVER : not({ kind: 'present', field });
  else equal = typeof value.is === 'string' ? { kind: 'equals', field, texts: [value.is] } : NEVER;
  const stringWhenEqual = typeof value.is === 'string' ? [field] : [];
  const stringWhenNot = value.is === null ? [field] : [];
  if (operator === '==') return { truthy: equal, isTrue: equal, whenTruthy: stringWhenEqual, whenFalsy: stringWhenNot };
  // The same object for both, so that `logical` can see that they are equal.
  const unequal = not(equal);
  return { truthy: unequal, isTrue: unequal, whenTruthy: stringWhenNot, whenFalsy: stringWhenEqual };
}

/** The value of a literal, or of a bare name such as `null`, which reads a field that no context has. */
function literalOf(node: Node): { readonly is: unknown } | undefined {
  if (node.kind === 'literal') return { is: node.value };
  if (node.kind === 'field' && node.name !== 'obj' && node.name !== 'container') return { is: null };
  return undefined;
}

type CallNode = Extract<Node, { kind: 'call' }>;

const TEXT_FUNCTIONS: Readonly<Record<string, 'startsWith' | 'endsWith' | 'contains'>> = {
  starts_with: 'startsWith',
  ends_with: 'endsWith',
  contains: 'contains',
};

function call(node: CallNode, known: KnownFields): Meaning | undefined {
  const predicate = listed(node) ?? textCondition(node);
  if (predicate === undefined) return undefined;
  // These functions raise an error for values that are not strings.
  if (isText(predicate) && !isKnown(predicate.field, known)) return undefined;
  return { truthy: predicate, isTrue: predicate, whenTruthy: [], whenFalsy: [] };
}

type TextAtom = Extract<Predicate, { readonly text: string }>;

function isText(predicate: Predicate): predicate is TextAtom {
  return predicate.kind === 'startsWith' || predicate.kind === 'endsWith' || predicate.kind === 'contains';
}

/** When a function of two texts returns `true`. It raises an error for a field that is absent. */
export function textCondition(node: CallNode): TextAtom | undefined {
  const [first, second] = node.arguments;
  const kind = Object.hasOwn(TEXT_FUNCTIONS, node.name) ? TEXT_FUNCTIONS[node.name] : undefined;
  if (kind === undefined || first === undefined || second === undefined || node.arguments.length !== 2)
    return undefined;
  const field = fieldOf(first);
  if (field === undefined || second.kind !== 'literal' || typeof second.value !== 'string') return undefined;
  return { kind, field, text: second.value };
}

/** `contains` over a list of strings, which accepts any second argument. */
function listed({ name, arguments: [first, second, ...others] }: CallNode): Predicate | undefined {
  if (name !== 'contains' || first?.kind !== 'literal' || second === undefined || others.length > 0) return undefined;
  const { value: list } = first;
  const field = fieldOf(second);
  const isString = (item: unknown): item is string => typeof item === 'string';
  if (field === undefined || !Array.isArray(list) || !list.every(isString)) return undefined;
  return list.length === 0 ? NEVER : { kind: 'equals', field, texts: list };
}

function isKnown(field: Field, known: KnownFields): boolean {
  return isAlwaysPresent(field) || known.some((other) => isSameField(field, other));
}

/** Whether an expression raises no error for any Pod, regardless of its result. In doubt, returns false. */
export function neverFails(node: Node): boolean {
  if (meaningOf(node, []) !== undefined) return true;
  switch (node.kind) {
    case 'current':
    case 'literal':
    case 'field':
    case 'index':
      return true;
    case 'chain':
    case 'comparison':
    case 'and':
    case 'or':
      return neverFails(node.left) && neverFails(node.right);
    case 'not':
      return neverFails(node.operand);
    default:
      return false;
  }
}
