import { describe, expect, it } from 'vitest';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { MirrorQueue } from '../../../extension-service/src/mirror/queue.js';
import type { QueueOptions } from '../../../extension-service/src/mirror/queue-state.js';
import { placesOf } from '../../../extension-service/src/mirror/share-of.js';
import { FakeClock, HeldCopier, failure, job, settledPromises } from './queue-world.js';

/** The effect of one namespace on the copies of others. */

function start(options: Partial<QueueOptions> = {}) {
  const clock = new FakeClock();
  const copier = new HeldCopier();
  const refused: string[] = [];
  const queue = new MirrorQueue(copier, {
    concurrency: 4,
    now: clock.now,
    after: clock.after,
    random: () => 1,
    events: { onRefused: ({ source }) => refused.push(source) },
    ...options,
  });
  return { clock, copier, queue, refused };
}

type More = Partial<MirrorJob> & { readonly from?: string; readonly to?: string };
const of = (namespace: string, name: string, more: More = {}): MirrorJob =>
  job(name, { pull: { namespace, serviceAccount: 'default', secretNames: [] }, ...more });

describe('the copy slots', () => {
  it('are all available to one namespace while no other needs any', () => {
    const { copier, queue } = start();
    for (let n = 0; n < 9; n += 1) void queue.enqueue(of('evil', `e${n}`, { from: `h${n}.test` }));
    expect(copier.names).toHaveLength(4);
  });

  it('have a reserve for other namespaces when copies of one namespace hang', () => {
    const { copier, queue } = start();
    for (let n = 0; n < 9; n += 1) void queue.enqueue(of('evil', `e${n}`, { from: `h${n}.test` }));
    for (let n = 0; n < 9; n += 1) void queue.enqueue(of('good', `g${n}`));
    expect(copier.names.slice(4)).toEqual(['g0', 'g1']);
  });

  it('go to the namespace with the fewest, regardless of the order of requests', async () => {
    const { copier, queue } = start();
    for (let n = 0; n < 9; n += 1) void queue.enqueue(of('evil', `e${n}`, { from: `h${n}.test` }));
    for (let n = 0; n < 9; n += 1) void queue.enqueue(of('good', `g${n}`));
    for (let n = 0; n < 4; n += 1) {
      copier.started[n]?.end();
      await settledPromises();
    }
    // Six copies run. The first two that end free the reserved slots. Then each namespace has two of the four slots.
    expect(copier.names.slice(4)).toEqual(['g0', 'g1', 'e4', 'e5']);
    copier.started[4]?.end();
    await settledPromises();
    expect(copier.names.slice(8)).toEqual(['g2']);
  });

  it('have a reserve also at a registry that one namespace uses, unless its limit is configured', () => {
    for (const [strict, names] of [
      [{ perSource: false, perTarget: false }, ['e0', 'e1', 'g0', 'g1']],
      [{ perSource: true, perTarget: false }, ['e0', 'e1']],
    ] as const) {
      const { copier, queue } = start({ perSource: 2, strict });
      for (let n = 0; n < 4; n += 1) void queue.enqueue(of('evil', `e${n}`));
      for (let n = 0; n < 4; n += 1) void queue.enqueue(of('good', `g${n}`));
      expect(copier.names).toEqual(names);
    }
  });

  it('run a copy in the turn of any namespace that requests it', () => {
    const { copier, queue } = start();
    for (let n = 0; n < 50; n += 1) void queue.enqueue(of('evil', `e${n}`));
    void queue.enqueue(of('good', 'e40'));
    expect(copier.names).toEqual(['e0', 'e1', 'e2', 'e3', 'e40']);
  });

  it('run an awaited copy before others of namespaces with the same number of slots', async () => {
    const { copier, queue } = start({ concurrency: 1 });
    void queue.enqueue(of('a', 'a0'));
    void queue.enqueue(of('b', 'b0'));
    void queue.enqueue(of('b', 'b1'));
    void queue.enqueue(of('c', 'c0'), { awaiting: {} });
    copier.started[0]?.end();
    copier.started[1]?.end();
    await settledPromises();
    expect(copier.names).toEqual(['a0', 'b0', 'c0', 'b1']);
  });
});

describe('the capacity of the queue', () => {
  it('is available to one namespace while no other needs it, and jobs above the limit are refused', async () => {
    const { queue, refused } = start({ capacity: 10 });
    const asked = Array.from({ length: 12 }, (_, n) => queue.enqueue(of('evil', `e${n}`)));
    expect(queue.list()).toHaveLength(10);
    expect(refused).toHaveLength(2);
    expect(await asked[11]).toMatchObject({
      failure: {
        reason: 'internal',
        retryable: true,
        message:
          'docker.io/library/e11:latest: the mirror queue is full (10), and namespace evil has the largest share; ' +
          'the image is mirrored on the next request',
      },
    });
  });

  it('is taken from the namespace with the largest share, so that others are never refused', async () => {
    const { queue, refused } = start({ capacity: 10 });
    const asked = Array.from({ length: 10 }, (_, n) => queue.enqueue(of('evil', `e${n}`)));
    for (let n = 0; n < 5; n += 1) void queue.enqueue(of('good', `g${n}`));
    expect(queue.list().map(({ source }) => /library\/(.*):/.exec(source)?.[1])).toEqual(
      expect.arrayContaining(['g0', 'g1', 'g2', 'g3', 'g4', 'e0', 'e1', 'e2', 'e3', 'e4']),
    );
    // The newest jobs are dropped first, and their callers get the failure immediately.
    expect(await asked[9]).toMatchObject({
      ok: false,
      failure: { message: expect.stringContaining('is full') as unknown },
    });
    // Each namespace has half of the queue. With one more job, `good` has the largest share, so the job is refused.
    refused.splice(0);
    void queue.enqueue(of('good', 'g5'));
    expect(refused).toEqual(['docker.io/library/g5:latest']);
  });

  it('is not taken from running jobs or jobs that the other namespace also needs', () => {
    const { copier, queue } = start({ capacity: 6, concurrency: 2 });
    for (let n = 0; n < 6; n += 1) void queue.enqueue(of('evil', `e${n}`));
    void queue.enqueue(of('good', 'e5'));
    void queue.enqueue(of('good', 'g0'));
    const names = queue.list().map(({ source }) => /library\/(.*):/.exec(source)?.[1]);
    expect(names).toEqual(expect.arrayContaining(['e0', 'e1', 'e5', 'g0']));
    expect(names).not.toContain('e4');
    expect(copier.started.every(({ signal }) => !signal.aborted)).toBe(true);
  });

  it('counts a job with very long names several times', () => {
    expect(placesOf(of('a', 'app'))).toBe(1);
    const secretNames = Array.from({ length: 50 }, (_, n) => `${n}`.padEnd(253, 'x'));
    const long = of('a', 'app', { pull: { namespace: 'a', serviceAccount: 'x', secretNames } });
    expect(placesOf(long)).toBe(4);
    const { queue } = start({ capacity: 10 });
    for (let n = 0; n < 10; n += 1) void queue.enqueue({ ...long, key: `${n}` });
    expect(queue.list()).toHaveLength(2);
  });

  it('is released when a copy ends, fails permanently or is handed back', async () => {
    const { copier, queue, refused } = start({ capacity: 2 });
    for (const end of [
      () => copier.started.pop()?.end(),
      () => copier.started.pop()?.fail(failure('invalid', false)),
      () => void queue.handBack(),
    ]) {
      queue.takeOver();
      void queue.enqueue(of('a', 'one'));
      end();
      await settledPromises();
    }
    queue.takeOver();
    for (const name of ['x', 'y']) void queue.enqueue(of('a', name));
    expect(refused).toEqual([]);
    void queue.enqueue(of('a', 'z'));
    expect(refused).toHaveLength(1);
  });
});

describe('a copy that never ends', () => {
  it('is aborted after a day and retried later, and its registries are not blamed', async () => {
    const { clock, copier, queue } = start({ concurrency: 1 });
    const result = queue.enqueue(of('a', 'endless'));
    await clock.pass(24 * 3_600_000 - 1);
    expect(copier.started[0]?.signal.aborted).toBe(false);
    await clock.pass(1);
    expect(copier.started[0]?.signal.aborted).toBe(true);
    copier.started[0]?.fail(failure('stopped', true));
    expect(await result).toMatchObject({
      failure: { reason: 'unreachable', message: expect.stringContaining('did not finish within 24 hours') as unknown },
    });
    expect(queue.list()[0]).toMatchObject({ state: 'waiting', attempts: 1 });
    void queue.enqueue(of('a', 'other'));
    expect(copier.names).toEqual(['endless', 'other']);
  });
});

describe('the end of the background worker', () => {
  const crash = (endedWorker: number) => failure('internal', true, { endedWorker });

  it('is attributed to the running copies, which are retried later and one at a time', async () => {
    const { clock, copier, queue } = start();
    for (const name of ['bomb', 'good1', 'good2']) void queue.enqueue(of(name, name));
    for (const copy of copier.started.splice(0)) copy.fail(crash(1));
    await clock.pass(59_999);
    expect(copier.names).toEqual([]);
    void queue.enqueue(of('new', 'new'));
    await clock.pass(1);
    expect(copier.names).toEqual(['new', 'bomb']);
    // The second crash is charged to the suspect `bomb`, not to the copy that ran at the same time.
    for (const copy of copier.started.splice(0)) copy.fail(crash(2));
    await settledPromises();
    expect(queue.find(of('bomb', 'bomb').key)).toMatchObject({ state: 'failed', attempts: 2 });
    expect(queue.find(of('new', 'new').key)).toMatchObject({ state: 'waiting' });
    expect(copier.names).toEqual(['good1']);
    copier.started[0]?.end();
    await settledPromises();
    expect(copier.names).toEqual(['good1', 'good2']);
    copier.started[1]?.end();
    await clock.pass(1_000);
    expect(copier.names).toEqual(['good1', 'good2', 'new']);
  });

  it('is remembered for an image that caused it twice, and one more time is enough', async () => {
    const { clock, copier, queue } = start();
    const bomb = of('evil', 'bomb');
    void queue.enqueue(bomb);
    for (const worker of [1, 2]) {
      copier.started.pop()?.fail(crash(worker));
      await clock.pass(60_000);
    }
    expect(await queue.enqueue(bomb)).toMatchObject({
      failure: { message: expect.stringContaining('ended 2 times while copying this image') as unknown },
    });
    expect(copier.started).toHaveLength(0);
    await clock.pass(3_600_000);
    void queue.enqueue(bomb);
    copier.started.pop()?.fail(crash(3));
    await settledPromises();
    expect(queue.find(bomb.key)).toMatchObject({ state: 'failed' });
  });
});
