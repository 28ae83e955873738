import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonBoundsError, MAX_JSON_DEPTH, parseBoundedJson } from '../../../extension-service/src/core/json-bounds.js';

const MAX_BYTES = 8 * 1024 * 1024;
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

describe('parseBoundedJson', () => {
  it('parses what JSON.parse parses', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        expect(parseBoundedJson(text, MAX_BYTES)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('accepts the deepest allowed nesting and no more', () => {
    expect(() => parseBoundedJson(nested(MAX_JSON_DEPTH), MAX_BYTES)).not.toThrow();
    expect(() => parseBoundedJson(nested(MAX_JSON_DEPTH + 1), MAX_BYTES)).toThrow(JsonBoundsError);
    const objects = '{"a":'.repeat(MAX_JSON_DEPTH + 1);
    expect(() => parseBoundedJson(objects, MAX_BYTES)).toThrow(/nested more than 100 levels deep/);
  });

  it.each(['"[[[[[["', '"\\"[[[[[["', '"\\\\"', '{"[[[[[[":"]"}', '["[[[\\\\\\"[[[", "{{{{"]'])(
    'does not count the brackets inside of strings: %s',
    (text) => {
      expect(parseBoundedJson(text, MAX_BYTES, 2)).toEqual(JSON.parse(text));
    },
  );

  it('counts brackets after a string that ends in a backslash', () => {
    expect(() => parseBoundedJson('["\\\\",[[[]]]]', MAX_BYTES, 3)).toThrow(JsonBoundsError);
  });

  it('refuses text that is too long before it parses it', () => {
    expect(() => parseBoundedJson('[1,2]', 4)).toThrow(/longer than 4 characters/);
  });

  it('leaves text that is not JSON to the parser', () => {
    expect(() => parseBoundedJson(']]]', MAX_BYTES)).toThrow(SyntaxError);
    expect(() => parseBoundedJson('"abc', MAX_BYTES)).toThrow(SyntaxError);
  });

  it.each([
    ['4 MB of open brackets', '['.repeat(4_000_000)],
    ['4 MB of nested objects', '{"a":'.repeat(800_000)],
    ['brackets behind 4 MB of escapes', `["${'\\\\'.repeat(2_000_000)}",${'['.repeat(200)}`],
  ])('spends at most 200 ms of CPU on %s', (_, text) => {
    const before = process.cpuUsage();
    expect(() => parseBoundedJson(text, MAX_BYTES)).toThrow(JsonBoundsError);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(200);
  });
});
