import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { sleep } from '../../../extension-service/src/util/sleep.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it('ends after its time', async () => {
  let over = false;
  const slept = sleep(1_000).then(() => (over = true));
  await vi.advanceTimersByTimeAsync(999);
  expect(over).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await slept;
  expect(over).toBe(true);
});

it('ends at once when the signal aborts or has aborted, without an error, and leaves no timer', async () => {
  const abort = new AbortController();
  const slept = sleep(1_000, abort.signal);
  abort.abort(new Error('over'));
  await slept;
  await sleep(1_000, abort.signal);
  expect(vi.getTimerCount()).toBe(0);
});
