import { describe, expect, it } from 'vitest';
import { MirrorQueue } from '../../../extension-service/src/mirror/queue.js';
import type { QueueOptions } from '../../../extension-service/src/mirror/queue-state.js';
import { FakeClock, HeldCopier, failure, job, settledPromises } from './queue-world.js';

const HOUR = 3_600_000;
const RETRY = { base: 1, max: 5, attempts: 2, pause: 60_000 };

function world(more: Partial<QueueOptions> = {}) {
  const copier = new HeldCopier();
  const clock = new FakeClock();
  const { now, after } = clock;
  const queue = new MirrorQueue(copier, { concurrency: 2, retry: RETRY, now, after, ...more });
  /** Fails the running copy as if the gate held it for this many milliseconds. */
  const hold = async (milliseconds: number): Promise<void> => {
    const gate = { check: 'minimumAge', verdict: 'held', until: clock.time + milliseconds } as const;
    copier.started.at(-1)?.fail(failure('gated', true, { gate }));
    await settledPromises();
  };
  return { copier, clock, queue, hold };
}

describe('a copy that a gate holds', () => {
  it('waits until the gate allows it without using its attempts', async () => {
    const { copier, clock, queue, hold } = world();
    void queue.enqueue(job('nginx'));
    for (let look = 1; look <= 5; look += 1) {
      await hold((6 - look) * HOUR);
      expect(copier.started).toHaveLength(look);
      expect(queue.list()).toMatchObject([{ state: 'waiting', nextTry: clock.time + HOUR }]);
      await clock.pass(HOUR);
    }
    copier.started.at(-1)?.fail(failure('server', true));
    await settledPromises();
    expect(queue.list()).toMatchObject([{ state: 'waiting', attempts: 1 }]);
  });

  it('is counted separately and not in the age of the queue', async () => {
    const { clock, queue, hold } = world();
    void queue.enqueue(job('nginx'));
    await hold(72 * HOUR);
    await clock.pass(HOUR / 2);
    expect(queue.oldestAge()).toBe(0);
    expect(queue.gated()).toEqual([{ target: 'default', verdict: 'held', count: 1 }]);
  });

  it('does not delay the next Pod', async () => {
    const { copier, queue, hold } = world();
    void queue.enqueue(job('nginx'));
    await hold(72 * HOUR);
    expect(await queue.enqueue(job('nginx'))).toMatchObject({ ok: false, failure: { reason: 'gated' } });
    expect(copier.started).toHaveLength(1);
  });

  it('runs at once when the configuration changes', async () => {
    const { copier, queue, hold } = world();
    void queue.enqueue(job('nginx'));
    await hold(72 * HOUR);
    queue.retryNow(['gated']);
    expect(copier.started).toHaveLength(2);
  });

  it('ends at once on the command line', async () => {
    const { queue, hold } = world({ retry: { ...RETRY, longestWait: 60_000 } });
    const result = queue.enqueue(job('nginx'));
    await hold(30_000);
    expect(await result).toMatchObject({ ok: false, failure: { reason: 'gated' } });
    expect(queue.list()).toMatchObject([{ state: 'failed' }]);
  });
});

describe('a copy that a gate has denied', () => {
  it('fails at once and is counted', async () => {
    const { copier, queue } = world();
    void queue.enqueue(job('nginx'));
    const gate = { check: 'webhook', verdict: 'denied' } as const;
    copier.started[0]?.fail(failure('gated', false, { gate }));
    await settledPromises();
    expect(queue.list()).toMatchObject([{ state: 'failed', failure: { gate } }]);
    expect(queue.gated()).toEqual([{ target: 'default', verdict: 'denied', count: 1 }]);
  });
});
