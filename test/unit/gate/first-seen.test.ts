import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeFirstSeen, readFirstSeen, writeFirstSeen } from '../../../extension-service/src/core/gate/first-seen.js';

const digest = (character: string): string => `sha256:${character.repeat(64)}`;
const NOW = Date.parse('2026-03-01T12:00:00Z');

describe('the text of first-seen times', () => {
  it('is one line for each digest, the oldest first', () => {
    const seen = new Map([
      [digest('b'), NOW],
      [digest('a'), NOW - 60_000],
    ]);
    expect(writeFirstSeen(seen)).toBe(`${digest('a')} 2026-03-01T11:59:00Z\n${digest('b')} 2026-03-01T12:00:00Z\n`);
  });

  it('never increases the age of a digest', () => {
    const [[, time] = []] = readFirstSeen(writeFirstSeen(new Map([[digest('a'), NOW + 1]])));
    expect(time).toBe(NOW + 1_000);
  });

  it('drops the oldest beyond the limit, and stays below it', () => {
    const all = new Map(
      Array.from({ length: 15_000 }, (_, index) => [
        `sha256:${index.toString(16).padStart(64, '0')}`,
        NOW + index * 1_000,
      ]),
    );
    const text = writeFirstSeen(all);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(1_000_000);
    const kept = readFirstSeen(text);
    expect(kept.size).toBe(10_752);
    expect(Math.min(...kept.values())).toBe(NOW + (15_000 - 10_752) * 1_000);
  });

  it.each([
    ['nothing', ''],
    ['other text', 'hello\n{"a": 1}\n'],
    ['a digest without a time', `${digest('a')}\n`],
    ['a time that is none', `${digest('a')} 2026-13-45T99:99:99Z\n`],
    ['a short digest', 'sha256:abc 2026-03-01T12:00:00Z\n'],
  ])('reads no times from %s', (_, text) => {
    expect(readFirstSeen(text)).toEqual(new Map());
  });

  it('is read back unchanged for any digests and times', () => {
    const entry = fc.tuple(
      fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`),
      fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => seconds * 1_000),
    );
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        const seen = new Map(entries);
        expect(readFirstSeen(writeFirstSeen(seen))).toEqual(seen);
      }),
    );
  });
});

describe('merged first-seen times', () => {
  it('are the earlier of two, and never in the future', () => {
    const one = new Map([
      [digest('a'), NOW - 5_000],
      [digest('b'), NOW + 3_600_000],
    ]);
    const other = new Map([
      [digest('a'), NOW - 9_000],
      [digest('c'), NOW],
    ]);
    expect(mergeFirstSeen(one, other, NOW)).toEqual(
      new Map([
        [digest('a'), NOW - 9_000],
        [digest('b'), NOW],
        [digest('c'), NOW],
      ]),
    );
  });
});
