import { expect, it } from 'vitest';
import { Occasionally } from '../../../extension-service/src/telemetry/occasionally.js';

it('lets each key through once an interval, and remembers no more than its capacity', () => {
  let now = 0;
  const lines = new Occasionally(1_000, () => now, 2);
  expect([lines.due('a'), lines.due('a'), lines.due('b')]).toEqual([true, false, true]);
  now = 999;
  expect(lines.due('a')).toBe(false);
  now = 1_000;
  expect([lines.due('a'), lines.due('a')]).toEqual([true, false]);
  lines.due('c');
  expect([lines.due('a'), lines.due('b')]).toEqual([false, true]);
});
