import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { parseJson } from '../../extension-service/src/server/admission-request.js';

const SOURCES = fileURLToPath(new URL('../../extension-service/src', import.meta.url));

/** Files that may call JSON.parse: literals in filters, the bounded parser, and a grammar check with a depth limit. */
const ALLOWED = ['core/filters/tokens.ts', 'core/json-bounds.ts', 'util/json-text.ts'];

it('is parsed only by parseBoundedJson, which checks length and depth first', () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const parsing = files.filter((name) => /\bJSON\.parse\(/.test(readFileSync(join(SOURCES, name), 'utf8')));
  expect(parsing.map((name) => relative('.', name)).sort()).toEqual(ALLOWED);
});

it('is refused as the body of a request when it is nested deeper than any Pod', () => {
  const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  expect(parseJson(nested(100), 'the body')).toBeInstanceOf(Array);
  expect(() => parseJson(nested(101), 'the body')).toThrow('the body: the JSON is nested more than 100 levels deep');
});
