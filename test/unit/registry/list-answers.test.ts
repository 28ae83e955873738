import { describe, expect, it } from 'vitest';
import { tagsIn } from '../../../extension-service/src/registry/list-answers.js';

const asked = { host: 'r.example', method: 'GET', url: new URL('https://r.example/v2/a/tags/list') };

describe('tagsIn', () => {
  it.each<[unknown, readonly string[]]>([
    [{ name: 'a', tags: ['1', 'v2'] }, ['1', 'v2']],
    [{ name: 'a', tags: ['1', 'not a tag', ''] }, ['1']],
    [{ name: 'a', tags: null }, []],
    [{ name: 'a', tags: [] }, []],
  ])('of %j is %j', (body, expected) => {
    expect(tagsIn(Buffer.from(JSON.stringify(body)), asked)).toEqual(expected);
  });

  // Garbage collection must not take an unreadable list for an empty one.
  it.each<unknown>([
    {},
    { name: 'a' },
    [],
    'tags',
    null,
    { tags: 'v1' },
    { tags: [{ name: 'v1' }] },
    { tags: ['1', 2] },
  ])('refuses %j', (body) => {
    expect(() => tagsIn(Buffer.from(JSON.stringify(body)), asked)).toThrow(/something else than a list of tags/);
  });
});
