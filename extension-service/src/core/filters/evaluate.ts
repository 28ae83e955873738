import type { ComparisonOperator, Node } from './ast.js';
import { spendWork } from './work-budget.js';
import { EvaluationError, FatalEvaluationError } from './evaluation-error.js';
import { FUNCTIONS, callFunction } from './functions.js';
import { evaluateSlice } from './slice.js';
import { ExpressionReference, isArray, isEqual, isFalse, isObject, readField, setField } from './values.js';

export type Evaluate = (value: unknown) => unknown;

/** Receives each node with its compiled function and returns the function to use instead. */
export type Instrument = (node: Node, evaluate: Evaluate) => Evaluate;

/**
 * Compiles an expression to a function of its context, which must be plain JSON. Results, errors and the order of
 * evaluation are those of go-jmespath 0.4.0; the function throws EvaluationError for errors and never changes its
 * argument.
 */
export function compileNode(node: Node, instrument?: Instrument): Evaluate {
  const evaluate = compileBare(node, (child) => compileNode(child, instrument));
  return instrument === undefined ? evaluate : instrument(node, evaluate);
}

type Compile = (node: Node) => Evaluate;
type NodeOf<K extends Node['kind']> = Extract<Node, { readonly kind: K }>;

function compileBare(node: Node, compile: Compile): Evaluate {
  switch (node.kind) {
    case 'current':
      return (value) => value;
    case 'literal':
      return () => node.value;
    case 'field': {
      const { name } = node;
      return (value) => readField(value, name);
    }
    case 'index': {
      const { index } = node;
      return (value) => (isArray(value) ? (value.at(index) ?? null) : null);
    }
    case 'slice':
      return (value) => (isArray(value) ? evaluateSlice(value, node.from, node.to, node.step) : null);
    case 'chain': {
      const [left, right] = [compile(node.left), compile(node.right)];
      return (value) => right(left(value));
    }
    case 'or': {
      const [left, right] = [compile(node.left), compile(node.right)];
      return (value) => {
        const first = left(value);
        return isFalse(first) ? right(value) : first;
      };
    }
    case 'and': {
      const [left, right] = [compile(node.left), compile(node.right)];
      return (value) => {
        const first = left(value);
        return isFalse(first) ? first : right(value);
      };
    }
    case 'not': {
      const operand = compile(node.operand);
      return (value) => isFalse(operand(value));
    }
    case 'comparison':
      return compileComparison(node.operator, compile(node.left), compile(node.right));
    case 'flatten':
      return compileFlatten(compile(node.source));
    case 'projection': {
      const [source, element] = [compile(node.source), compile(node.element)];
      return (value) => {
        const items = source(value);
        return isArray(items) ? project(items, element) : null;
      };
    }
    case 'filterProjection':
      return compileFilterProjection(compile(node.source), compile(node.condition), compile(node.element));
    case 'valueProjection':
      return compileValueProjection(compile(node.source), compile(node.element));
    case 'list': {
      const items = node.items.map(compile);
      return (value) => (value === null ? null : items.map((item) => item(value)));
    }
    case 'hash':
      return compileHash(node, compile);
    case 'call':
      return compileCall(node, compile);
    case 'reference': {
      const reference = new ExpressionReference(compile(node.body));
      return () => reference;
    }
  }
}

/** Only two numbers can be ordered; any other comparison returns null. */
function compileComparison(operator: ComparisonOperator, left: Evaluate, right: Evaluate): Evaluate {
  switch (operator) {
    case '==':
      return (value) => isEqual(left(value), right(value));
    case '!=':
      return (value) => !isEqual(left(value), right(value));
    case '<':
      return (value) => compareNumbers(left(value), right(value), (a, b) => a < b);
    case '<=':
      return (value) => compareNumbers(left(value), right(value), (a, b) => a <= b);
    case '>':
      return (value) => compareNumbers(left(value), right(value), (a, b) => a > b);
    case '>=':
      return (value) => compareNumbers(left(value), right(value), (a, b) => a >= b);
  }
}

function compareNumbers(left: unknown, right: unknown, holds: (a: number, b: number) => boolean): boolean | null {
  return typeof left === 'number' && typeof right === 'number' ? holds(left, right) : null;
}

function project(items: readonly unknown[], element: Evaluate): readonly unknown[] {
  spendWork(items.length);
  const collected: unknown[] = [];
  for (const item of items) {
    const current = element(item);
    if (current !== null) {
      collected.push(current);
    }
  }
  return collected;
}

function compileFlatten(source: Evaluate): Evaluate {
  const read = nullOnError(source);
  return (value) => {
    const items = read(value);
    if (!isArray(items)) {
      return null;
    }
    // The result may be far larger than the input: the same list many times.
    spendWork(items.reduce<number>((sum, item) => sum + (isArray(item) ? item.length : 1), 0));
    return items.flat();
  };
}

function compileFilterProjection(source: Evaluate, condition: Evaluate, element: Evaluate): Evaluate {
  const read = nullOnError(source);
  return (value) => {
    const items = read(value);
    if (!isArray(items)) {
      return null;
    }
    spendWork(items.length);
    const collected: unknown[] = [];
    for (const item of items) {
      const current = isFalse(condition(item)) ? null : element(item);
      if (current !== null) {
        collected.push(current);
      }
    }
    return collected;
  };
}

/**
 * Because of a bug, go-jmespath prepends as many nulls to the object's values as there are values. Most right sides
 * return null for null, which a projection drops; `labels.*.length(@)` is an error because of it.
 */
function compileValueProjection(source: Evaluate, element: Evaluate): Evaluate {
  const read = nullOnError(source);
  return (value) => {
    const object = read(value);
    if (!isObject(object)) {
      return null;
    }
    const values = Object.values(object);
    if (values.length === 0) {
      return [];
    }
    const ofNull = element(null);
    const collected = project(values, element);
    return ofNull === null ? collected : [...values.map(() => ofNull), ...collected];
  };
}

/** Go ignores an error on the left of `[]`, `[?…]` and `.*`, but not of `[*]`, and never a fatal one. */
function nullOnError(evaluate: Evaluate): Evaluate {
  return (value) => {
    try {
      return evaluate(value);
    } catch (error) {
      if (error instanceof EvaluationError && !(error instanceof FatalEvaluationError)) {
        return null;
      }
      throw error;
    }
  };
}

function compileHash(node: NodeOf<'hash'>, compile: Compile): Evaluate {
  const entries = node.entries.map(({ key, value }) => ({ key, evaluate: compile(value) }));
  return (value) => {
    if (value === null) {
      return null;
    }
    const object: Record<string, unknown> = {};
    for (const { key, evaluate } of entries) {
      setField(object, key, evaluate(value));
    }
    return object;
  };
}

/** Arguments are evaluated first: their errors take precedence over an unknown name or a wrong number of arguments. */
function compileCall(node: NodeOf<'call'>, compile: Compile): Evaluate {
  const { name } = node;
  const args = node.arguments.map(compile);
  const entry = FUNCTIONS.get(name);
  return (value) => {
    const values = args.map((arg) => arg(value));
    if (entry === undefined) {
      throw new EvaluationError(`there is no function ${name}()`);
    }
    return callFunction(name, entry, values);
  };
}
