import { expect, it } from 'vitest';
import { LogRateLimiter } from '../../../extension-service/src/util/log-rate-limiter.js';

it('allows each key once per interval, and remembers a bounded number of keys', () => {
  let now = 0;
  const lines = new LogRateLimiter(1_000, () => now, 2);
  expect([lines.shouldLog('a'), lines.shouldLog('a'), lines.shouldLog('b')]).toEqual([true, false, true]);
  now = 999;
  expect(lines.shouldLog('a')).toBe(false);
  now = 1_000;
  expect([lines.shouldLog('a'), lines.shouldLog('a')]).toEqual([true, false]);
  lines.shouldLog('c');
  expect([lines.shouldLog('a'), lines.shouldLog('b')]).toEqual([false, true]);
});
