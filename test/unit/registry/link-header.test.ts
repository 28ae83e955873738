import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextLink } from '../../../extension-service/src/registry/link-header.js';

describe('nextLink', () => {
  it.each([
    ['</v2/a/referrers/sha256:1?after=2>; rel="next"', '/v2/a/referrers/sha256:1?after=2'],
    ['</v2/a/referrers/sha256:1?after=2>; rel=next', '/v2/a/referrers/sha256:1?after=2'],
    ['<?after=2>;rel=NEXT', '?after=2'],
    ['<?after=2>; title="a; rel=prev, b"; rel="next"', '?after=2'],
    ['<?after=1>; rel="prev", <?after=3>; rel="next"', '?after=3'],
    ['<?after=1>; rel="prev next"', '?after=1'],
    ['<https://elsewhere.example/x>; rel=next', 'https://elsewhere.example/x'],
    ["<?after=1>; rel='next'", '?after=1'],
    ['<?after=1>; rel="nextish"', undefined],
    ['<?after=1>', undefined],
    ['?after=1; rel=next', '?after=1'],
    ['/v2/a/tags/list?last=b&n=2;rel="next"', '/v2/a/tags/list?last=b&n=2'],
    ['https://elsewhere.example/x ; rel=next', 'https://elsewhere.example/x'],
    ['?after=1; rel="prev", ?after=2; title="a, b"; rel="next"', '?after=2'],
    ['?after=1; rel="prev"', undefined],
    ['?after=1', undefined],
    ['; rel=next', undefined],
    ['rel=next', undefined],
    ['?after=1>; rel=next', undefined],
    ['<?after=1; rel=next', undefined],
    ['', undefined],
    [undefined, undefined],
    [`<?after=${'1'.repeat(10_000)}>; rel=next`, undefined],
  ])('of %j is %j', (header, expected) => {
    expect(nextLink(header)).toBe(expected);
  });

  it('terminates for any text and returns a part of it', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('<', '>', ',', ';', '"', '\\', 'rel=next', ' ', 'a') }), (text) => {
        const link = nextLink(text);
        if (link !== undefined) expect(text).toContain(/[<>]/.test(text) ? `<${link}>` : link);
      }),
    );
  });
});
