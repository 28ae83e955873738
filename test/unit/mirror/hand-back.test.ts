import { describe, expect, it, vi } from 'vitest';
import { CopyFailedError } from '../../../extension-service/src/registry/copy-failure.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { CONFIGURATION_REASONS, MirrorQueue } from '../../../extension-service/src/mirror/queue.js';
import { imageJob } from '../kubernetes/workloads.js';
import { FakeClock, HeldCopier, OUTCOME, failure, job, settledPromises } from './queue-world.js';

it('hands back copies that wait for a retry, which is canceled', async () => {
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
    // The place of the handed-back copy is free again.
    queue.takeOver();
    expect(await queue.enqueue(imageJob('other'))).toMatchObject({ failure });
    expect(queue.list()).toHaveLength(1);
  } finally {
    vi.useRealTimers();
  }
});

describe('a replica that lost the Lease', () => {
  const pause = 60_000;
  const world = () => {
    const [clock, copier] = [new FakeClock(), new HeldCopier()];
    const { now, after } = clock;
    const retry = { base: 1_000, max: 300_000, attempts: 12, pause };
    const tries: string[] = [];
    const onDone = ({ source }: MirrorJob): void => void tries.push(source);
    const queue = new MirrorQueue(copier, { concurrency: 4, retry, now, after, random: () => 1, events: { onDone } });
    return { clock, copier, queue, tries };
  };

  it('retries no failed copies after any change', async () => {
    const { copier, queue } = world();
    for (const name of ['mine', 'ours']) void queue.enqueue(job(name), { exclusive: name === 'ours' });
    for (const copy of copier.started) copy.fail(failure('unauthorized', false));
    await settledPromises();
    expect(queue.handBack()).toEqual([]);
    expect(queue.list()).toMatchObject([{ source: job('ours').source }]);
    queue.retryNow(CONFIGURATION_REASONS);
    expect(copier.names).toEqual(['mine', 'ours', 'ours']);
  });

  it('leaves later failures to the leader as well when something changes, and retries them on request', async () => {
    const { copier, queue } = world();
    queue.handBack();
    void queue.enqueue(job('app'), { awaiting: {} });
    copier.started[0]?.fail(failure('unauthorized', false));
    await settledPromises();
    queue.retryNow(CONFIGURATION_REASONS);
    expect(copier.names).toEqual(['app']);
    void queue.enqueue(job('app'), { awaiting: {} });
    expect(copier.names).toEqual(['app', 'app']);
  });

  it('copies nothing that the leader copies', async () => {
    const { copier, queue } = world();
    queue.handBack();
    expect(await queue.enqueue(job('app'))).toMatchObject({ ok: false, failure: { reason: 'stopped' } });
    queue.takeOver();
    void queue.enqueue(job('app'));
    expect(copier.names).toEqual(['app']);
  });

  it.each(['server', 'unreachable', 'internal'] as const)(
    'makes one attempt for an admission, and leaves further ones after %s to the leader',
    async (reason) => {
      const { clock, copier, queue } = world();
      queue.handBack();
      const answer = queue.enqueue(job('app'), { awaiting: {} });
      copier.started[0]?.fail(failure(reason, true, { host: 'docker.io' }));
      expect(await answer).toMatchObject({ ok: false, failure: { reason } });
      await clock.pass(999);
      // Later Pods get the same failure without another request to the registry.
      expect(await queue.enqueue(job('app'), { awaiting: {} })).toMatchObject({ ok: false, failure: { reason } });
      await clock.pass(3_600_000);
      expect(copier.names).toEqual(['app']);
      void queue.enqueue(job('app'), { awaiting: {} });
      expect(copier.names).toEqual(['app', 'app']);
    },
  );

  it('continues copies that no other replica would make', async () => {
    const { clock, copier, queue } = world();
    void queue.enqueue(job('app'), { exclusive: true });
    queue.handBack();
    copier.started[0]?.fail(failure('server', true));
    await clock.pass(pause);
    expect(copier.names).toEqual(['app', 'app']);
  });

  it('reports nothing about an aborted attempt, which does not block another one', async () => {
    const { copier, queue, tries } = world();
    queue.setLimits({ concurrency: 1 });
    void queue.enqueue(job('app'));
    queue.handBack();
    queue.takeOver();
    const again = queue.enqueue(job('app'));
    expect(copier.started[0]?.signal.aborted).toBe(true);
    copier.started[0]?.fail(failure('stopped', true));
    await settledPromises();
    expect(tries).toEqual([]);
    copier.started[1]?.end();
    expect(await again).toEqual({ ok: true, outcome: OUTCOME });
    expect(queue.counts()).toEqual({ queued: 0, running: 0, waiting: 0, failed: 0, done: 1 });
  });

  it('leaves copies to the leader that wait for an unavailable registry', async () => {
    const { copier, queue } = world();
    queue.setLimits({ concurrency: 1 });
    queue.handBack();
    const asked = [1, 2].map((n) => queue.enqueue(job(`app-${n}`), { awaiting: {} }));
    copier.started[0]?.fail(failure('unreachable', true, { host: 'docker.io' }));
    await Promise.all(asked);
    expect(queue.counts()).toMatchObject({ queued: 0, waiting: 0, failed: 1 });
  });

  it('checks a registry that was down once for all waiting copies, when an admission waits', async () => {
    const { clock, copier, queue } = world();
    queue.handBack();
    const asked = [1, 2].map((n) => queue.enqueue(job(`app-${n}`), { awaiting: {} }));
    for (const copy of copier.started) copy.fail(failure('unreachable', true, { host: 'docker.io' }));
    await Promise.all(asked);
    expect(await queue.enqueue(job('app-3'), { awaiting: {} })).toMatchObject({ failure: { reason: 'unreachable' } });
    await clock.pass(pause);
    expect(copier.started).toHaveLength(2);
    expect(queue.counts()).toMatchObject({ queued: 0, waiting: 0 });
  });
});
