import { expect, it } from 'vitest';
import { parse, target } from './parsing.js';

it('parsing a configuration compiles no code', () => {
  const made: unknown[] = [];
  const { Function: original } = globalThis;
  const counting = new Proxy(original, {
    construct(target, args: unknown[]) {
      made.push(args);
      return Reflect.construct(target, args) as object;
    },
  });
  globalThis.Function = counting;
  try {
    parse(target);
  } finally {
    globalThis.Function = original;
  }
  expect(made).toEqual([]);
});
