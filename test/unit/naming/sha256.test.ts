import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../../extension-service/src/core/naming/sha256.js';

describe('sha256', () => {
  it.each([0, 1, 3, 54, 55, 56, 57, 63, 64, 65, 118, 119, 120, 127, 128, 1000])(
    'of %i bytes is node:crypto’s',
    (length) => {
      const text = Array.from({ length }, (_, i) => String.fromCharCode(i % 128)).join('');
      expect(sha256(text)).toBe(createHash('sha256').update(text).digest('hex'));
    },
  );

  it('is node:crypto’s for any ASCII text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii', maxLength: 600 }), (text) => {
        expect(sha256(text)).toBe(createHash('sha256').update(text).digest('hex'));
      }),
      { numRuns: 500 },
    );
  });

  it('refuses non-ASCII text, which it would hash incorrectly', () => {
    expect(() => sha256('é')).toThrow(RangeError);
  });
});
