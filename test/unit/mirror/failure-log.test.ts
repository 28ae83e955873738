import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CopyFailureLines } from '../../../extension-service/src/mirror/failure-log.js';
import { failure, job } from '../mirror/queue-world.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function lines() {
  const written: unknown[] = [];
  const log = { warn: (fields: unknown, message: unknown) => void written.push([fields, message]) };
  return { written, failures: new CopyFailureLines(log as never) };
}

describe('copies that fail', () => {
  it.each(['unreachable', 'throttled', 'server', 'unauthorized', 'forbidden'] as const)(
    'with %s cause one line per minute and registry with their number',
    (reason) => {
      const { written, failures } = lines();
      const { failure: failed } = failure(reason, true, { host: 'away.test' });
      for (let n = 0; n < 50; n += 1) failures.failed(job(`a${n}`), failed, 1);
      failures.failed(job('b'), { ...failed, host: 'other.test' }, 1);
      expect(written).toMatchObject([
        [{ host: 'away.test' }, failed.message],
        [{ host: 'other.test' }, failed.message],
      ]);
      vi.advanceTimersByTime(60_000);
      failures.failed(job('a0'), failed, 2);
      expect(written[2]).toMatchObject([{ reason, host: 'away.test', attempt: 2, repeated: 49 }, failed.message]);
    },
  );

  it('for other reasons cause one line per minute each', () => {
    const { written, failures } = lines();
    const { failure: absent } = failure('absent', false, { host: 'docker.io' });
    const { failure: conflict } = failure('conflict', false, { host: 'mirror.test' });
    for (const name of ['a', 'b', 'a', 'b']) failures.failed(job(name), absent, 1);
    failures.failed(job('a'), conflict, 1);
    expect(written).toMatchObject([
      [{ source: job('a').source, reason: 'absent' }, absent.message],
      [{ source: job('b').source, reason: 'absent' }, absent.message],
      [{ source: job('a').source, reason: 'conflict', event: 'tag-conflict' }, conflict.message],
    ]);
  });

  it('of thousands of images cause a few lines per minute, and one with the number of all others', () => {
    const { written, failures } = lines();
    const fail = (reason: 'absent' | 'conflict', count: number, times = 1): void => {
      for (let n = 0; n < count * times; n += 1)
        failures.failed(job(`${reason}-${n % count}`), failure(reason, false, { host: 'docker.io' }).failure, 1);
    };
    fail('absent', 2_000);
    fail('conflict', 100, 2);
    expect(written).toHaveLength(30);
    vi.advanceTimersByTime(60_000);
    expect(written.slice(30)).toEqual([
      [{ failures: { absent: 1_970, conflict: 100 } }, '2070 more copies failed in the last minute'],
    ]);
    fail('conflict', 1);
    // The next line for the image reports its second failure in the previous minute.
    expect(written.slice(31)).toMatchObject([
      [{ reason: 'conflict', repeated: 1, event: 'tag-conflict' }, 'x: conflict'],
    ]);
    vi.advanceTimersByTime(120_000);
    expect(written).toHaveLength(32);
  });
});
