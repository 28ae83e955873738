import { expect, it, vi } from 'vitest';
import { CopyFailedError } from '../../../extension-service/src/mirror/failure.js';
import { MirrorQueue } from '../../../extension-service/src/mirror/queue.js';
import { imageJob } from '../kubernetes/workloads.js';

it('hands back copies that wait for another try, which then is not made', async () => {
  vi.useFakeTimers();
  try {
    let tries = 0;
    const failure = { reason: 'unreachable', message: 'away', retryable: true } as const;
    const copy = (): Promise<never> => {
      tries += 1;
      return Promise.reject(new CopyFailedError(failure));
    };
    const queue = new MirrorQueue({ copy }, { concurrency: 1, capacity: 1 });
    await queue.enqueue(imageJob('app'));
    expect(queue.handBack()).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(tries).toBe(1);
    // Its place is free again.
    expect(await queue.enqueue(imageJob('other'))).toMatchObject({ failure });
    expect(queue.list()).toHaveLength(1);
  } finally {
    vi.useRealTimers();
  }
});
