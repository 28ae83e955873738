import fc from 'fast-check';
import { anyCharacter } from '../characters.js';
import { describe, expect, it } from 'vitest';
import { childrenOf } from '../../../extension-service/src/core/filters/ast.js';
import type { Node } from '../../../extension-service/src/core/filters/ast.js';
import { compileFilter } from '../../../extension-service/src/core/filters/compile.js';
import { inferTypes } from '../../../extension-service/src/core/filters/infer.js';
import { matchFilters } from '../../../extension-service/src/core/filters/match.js';
import { parseExpression } from '../../../extension-service/src/core/filters/parse.js';
import { traceFilter } from '../../../extension-service/src/core/filters/trace.js';
import { baseTypes } from '../../../extension-service/src/core/filters/shapes.js';
import { typeOf } from '../../../extension-service/src/core/filters/values.js';
import { brokenExpression, expression, filterContext } from './arbitraries.js';

const anyText = fc.oneof(expression, brokenExpression, fc.string(), fc.string({ unit: anyCharacter }));

describe('any text', () => {
  it('compiles or names a column inside it, and never throws', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const { filter, problems } = compileFilter(text, 0);
        expect(filter === undefined).toBe(problems.some(({ severity }) => severity === 'error'));
        for (const { column, message } of problems) {
          expect(column).toBeGreaterThanOrEqual(1);
          expect(column).toBeLessThanOrEqual(text.length + 1);
          // This message would mean that the tree and the tokens of a valid expression do not match.
          expect(message).not.toBe('the expression is not JMESPath');
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('evaluates over any JSON without throwing', () => {
    fc.assert(
      fc.property(expression, fc.jsonValue(), fc.jsonValue(), (text, obj, container) => {
        const { filter } = compileFilter(text, 0);
        if (filter === undefined) {
          throw new Error(`${text} does not compile`);
        }
        expect(['value', 'error']).toContain(filter.evaluate({ obj, container }).kind);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('any expression over any Pod', () => {
  it('returns the same result with and without a trace, and does not change the Pod', () => {
    fc.assert(
      fc.property(expression, filterContext, (text, context) => {
        const before = JSON.stringify(context);
        const [first, second] = [compileFilter(text, 0).filter, compileFilter(text, 1).filter];
        if (first === undefined || second === undefined) {
          throw new Error(`${text} does not compile`);
        }
        const result = first.evaluate(context);
        expect(first.evaluate(context)).toEqual(result);
        expect(second.evaluate(context)).toEqual(result);
        const { value, error } = traceFilter(first, context);
        expect(error === undefined ? { kind: 'value', value } : { kind: 'error', message: error }).toEqual(result);
        expect(matchFilters([first], context).skip).toBe(result.kind === 'value' && result.value === true);
        expect(JSON.stringify(context)).toBe(before);
      }),
      { numRuns: 1000 },
    );
  });

  it('returns one of its inferred types', () => {
    fc.assert(
      fc.property(expression, filterContext, (text, context) => {
        const result = compileFilter(text, 0).filter?.evaluate(context);
        const types = baseTypes(inferTypes(parseExpression(text)));
        if (result?.kind === 'value') {
          expect(types).toContain(typeOf(result.value));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('reads own properties only', () => {
    const read: PropertyKey[] = [];
    const prototype = new Proxy(
      {},
      { get: (_target, name) => read.push(name), has: (_target, name) => read.push(name) > 0 },
    );
    const adopt = (value: unknown): unknown => {
      if (Array.isArray(value)) {
        return value.map(adopt);
      }
      if (typeof value !== 'object' || value === null) {
        return value;
      }
      return Object.setPrototypeOf(
        Object.fromEntries(Object.entries(value).map(([name, field]) => [name, adopt(field)])),
        prototype,
      );
    };
    fc.assert(
      fc.property(expression, filterContext, (text, context) => {
        const adopted = { obj: adopt(context.obj), container: adopt(context.container) };
        read.length = 0;
        compileFilter(text, 0).filter?.evaluate(adopted);
        expect(read).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it('has parts with correct positions', () => {
    const check = (text: string, node: Node): void => {
      let { start } = node;
      for (const child of childrenOf(node)) {
        expect(child.start).toBeGreaterThanOrEqual(start);
        expect(child.end).toBeLessThanOrEqual(node.end);
        start = child.end;
        check(text, child);
      }
      if (node.end > node.start && !isPartial(node)) {
        expect(shapeOf(parseExpression(text.slice(node.start, node.end)))).toEqual(shapeOf(node));
      }
    };
    fc.assert(
      fc.property(expression, (text) => check(text, parseExpression(text))),
      { numRuns: 500 },
    );
  });
});

/** Whether the node's text is not an expression on its own, or is a different one: `a[1:2]` alone is a projection. */
function isPartial(node: Node): boolean {
  return ['index', 'slice', 'flatten'].includes(node.kind) || (node.kind === 'chain' && node.right.kind === 'slice');
}

/** A syntax tree without its positions. */
function shapeOf(node: Node): unknown {
  return JSON.parse(
    JSON.stringify(node, (key, value: unknown) => (['start', 'end', 'nameStart'].includes(key) ? undefined : value)),
  );
}
