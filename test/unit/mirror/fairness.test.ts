import { describe, expect, it } from 'vitest';
import { copyLimits } from '../../../extension-service/src/mirror/copy-limits.js';
import { CONFIGURATION_REASONS, CREDENTIAL_REASONS, MirrorQueue } from '../../../extension-service/src/mirror/queue.js';
import type { QueueOptions } from '../../../extension-service/src/mirror/queue-state.js';
import { parse } from '../config/parsing.js';
import { FakeClock, HeldCopier, failure, job, settledPromises } from './queue-world.js';

/** Effects of registries on each other's copies. */

const RETRY = { base: 1_000, max: 300_000, attempts: 4, pause: 60_000 };

function start(options: Partial<QueueOptions> = {}) {
  const clock = new FakeClock();
  const copier = new HeldCopier();
  const ended: [string, string, boolean, number][] = [];
  const queue = new MirrorQueue(copier, {
    concurrency: 4,
    retry: RETRY,
    now: clock.now,
    after: clock.after,
    // Without jitter, each pause has its full length.
    random: () => 1,
    events: {
      onDone: ({ source }, result, _milliseconds, attempt, final) =>
        ended.push([source, result.ok ? 'ok' : result.failure.reason, final, attempt]),
    },
    ...options,
  });
  return { clock, copier, queue, ended };
}

const away = (host: string, retryAfter?: number) =>
  failure(retryAfter === undefined ? 'unreachable' : 'throttled', true, {
    host,
    ...(retryAfter !== undefined && { retryAfter }),
  });

describe('limits per registry', () => {
  it('leave a slot for other sources when a source hangs', () => {
    const { copier, queue } = start({ concurrency: 3, perSource: 2 });
    for (const name of ['a', 'b', 'c', 'd']) void queue.enqueue(job(name, { from: 'hangs.test' }));
    expect(copier.names).toEqual(['a', 'b']);
    void queue.enqueue(job('other', { from: 'fine.test' }));
    expect(copier.names).toEqual(['a', 'b', 'other']);
  });

  it('leave a slot for other targets when a target hangs', async () => {
    const { copier, queue } = start({ concurrency: 3, perTarget: 2 });
    for (const name of ['a', 'b', 'c']) void queue.enqueue(job(name, { to: 'hangs.test' }));
    void queue.enqueue(job('d', { to: 'fine.test' }));
    expect(copier.names).toEqual(['a', 'b', 'd']);
    copier.started[0]?.end();
    await settledPromises();
    expect(copier.names).toEqual(['a', 'b', 'd', 'c']);
  });

  it('alternate between registries, however many copies one of them has', async () => {
    const { copier, queue } = start({ concurrency: 1 });
    for (const name of ['a1', 'a2', 'a3', 'a4']) void queue.enqueue(job(name, { from: 'a.test' }));
    for (const name of ['b1', 'b2']) void queue.enqueue(job(name, { from: 'b.test' }));
    void queue.enqueue(job('c1', { from: 'c.test' }));
    for (let n = 0; n < 7; n += 1) {
      copier.started[n]?.end();
      await settledPromises();
    }
    expect(copier.names).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
  });

  it.each([
    ['one target', 'mirror: {concurrency: 4}\n', { concurrency: 4, perSource: 3, perTarget: 4 }],
    ['a single place', 'mirror: {concurrency: 1}\n', { concurrency: 1, perSource: 1, perTarget: 1 }],
    [
      'a target of another host',
      'targets: [{name: b, type: oci, oci: {registry: b.test}}]\n',
      { concurrency: 4, perSource: 3, perTarget: 3 },
    ],
    [
      'a target of the same host',
      'targets: [{name: b, type: oci, oci: {registry: a.test, prefix: b}}]\n',
      { concurrency: 4, perSource: 3, perTarget: 4 },
    ],
    ['limits of its own', 'mirror: {perSource: 4, perTarget: 2}\n', { concurrency: 4, perSource: 4, perTarget: 2 }],
  ])('with %s', (_what, more, limits) => {
    const { config } = parse(`target: {type: oci, oci: {registry: a.test}}\n${more}`);
    const strict = { perSource: more.includes('perSource'), perTarget: more.includes('perTarget') };
    expect(copyLimits(config)).toEqual({ ...limits, strict });
  });
});

describe('a registry that is down', () => {
  it('keeps all its copies waiting without counting an attempt of them', async () => {
    const { clock, copier, queue } = start({ concurrency: 1 });
    for (const name of ['a', 'b', 'c']) void queue.enqueue(job(name, { from: 'away.test' }));
    copier.started[0]?.fail(away('away.test'));
    await settledPromises();
    expect(copier.names).toEqual(['a']);
    expect(
      queue.list().map(({ source, state, attempts, waitsFor }) => [source.at(18), state, attempts, waitsFor]),
    ).toEqual(
      expect.arrayContaining([
        ['a', 'waiting', 1, { host: 'away.test', reason: 'unreachable' }],
        ['b', 'waiting', 0, { host: 'away.test', reason: 'unreachable' }],
      ]),
    );
    expect(queue.counts()).toMatchObject({ waiting: 3, queued: 0, running: 0 });
    expect(queue.list()[0]?.nextTry).toBe(clock.now() + 1_000);
    // Copies from other registries are not delayed.
    void queue.enqueue(job('other', { from: 'fine.test' }));
    expect(copier.names).toEqual(['a', 'other']);
  });

  it('is tried by one copy, and by the others once it answers', async () => {
    const { clock, copier, queue } = start({ concurrency: 4 });
    for (const name of ['a', 'b', 'c']) void queue.enqueue(job(name, { from: 'away.test' }));
    for (const copy of copier.started) copy.fail(away('away.test'));
    await clock.pass(999);
    expect(copier.names).toEqual(['a', 'b', 'c']);
    await clock.pass(1);
    expect(copier.names).toEqual(['a', 'b', 'c', 'a']);
    // The first bytes count as an answer, so that a large image does not delay the other copies.
    copier.started[3]?.progress({ transferred: 1, total: 1_000_000 });
    expect(copier.names).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
  });

  it('is queried at growing intervals, up to one minute', async () => {
    const { clock, copier, queue } = start({ retry: { ...RETRY, attempts: 12 } });
    for (let n = 0; n < 20; n += 1) void queue.enqueue(job(`a${n}`, { from: 'away.test' }));
    const times: number[] = [];
    for (const copy of copier.started.splice(0)) copy.fail(away('away.test'));
    await settledPromises();
    for (let n = 0; n < 10; n += 1) {
      const before = clock.time;
      while (copier.started.length === 0) await clock.pass(1_000);
      expect(copier.started).toHaveLength(1);
      times.push((clock.time - before) / 1_000);
      copier.started.pop()?.fail(away('away.test'));
      await settledPromises();
    }
    expect(times).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
  });

  it('with a Retry-After gets no requests until then, even if it answers earlier requests', async () => {
    const { clock, copier, queue } = start({ concurrency: 2 });
    for (const name of ['a', 'b', 'c']) void queue.enqueue(job(name, { from: 'busy.test' }));
    copier.started[0]?.fail(away('busy.test', 30_000));
    await settledPromises();
    copier.started[1]?.end();
    await clock.pass(29_999);
    expect(copier.names).toEqual(['a', 'b']);
    await clock.pass(1);
    expect(copier.names).toEqual(['a', 'b', 'c']);
  });

  it('answers later requests immediately, with the reason', async () => {
    const { copier, queue } = start({ concurrency: 1 });
    const [first, second] = ['a', 'b'].map((name) => queue.enqueue(job(name, { from: 'away.test' })));
    copier.started[0]?.fail(away('away.test'));
    expect(await first).toMatchObject({ ok: false, failure: { reason: 'unreachable' } });
    const waits = {
      ok: false,
      failure: { message: expect.stringContaining('b:latest: waiting, like all copies from away.test') as unknown },
    };
    expect(await second).toMatchObject(waits);
    expect(await queue.enqueue(job('b', { from: 'away.test' }))).toMatchObject(waits);
  });

  it('is abandoned with its waiting copies after the last attempt, and tried again on request', async () => {
    const { clock, copier, queue, ended } = start({ concurrency: 1 });
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) void queue.enqueue(job(name, { from: 'away.test' }));
    for (let n = 0; n < RETRY.attempts; n += 1) {
      copier.started[n]?.fail(away('away.test'));
      await clock.pass(10_000);
    }
    expect(copier.names).toEqual(['a', 'b', 'c', 'd']);
    expect(queue.counts()).toMatchObject({ failed: 6, waiting: 0 });
    expect(ended.filter(([, , final]) => final)).toHaveLength(6);
    // Each attempt is counted once. Copies that were abandoned without an attempt do not count.
    expect(ended.filter(([, , , attempt]) => attempt > 0)).toHaveLength(RETRY.attempts);
    await clock.pass(RETRY.pause);
    void queue.enqueue(job('a', { from: 'away.test' }));
    copier.started[4]?.end();
    await settledPromises();
    void queue.enqueue(job('b', { from: 'away.test' }));
    expect(copier.names).toEqual(['a', 'b', 'c', 'd', 'a', 'b']);
  });

  it('as a target delays no copies of the same source for other targets', async () => {
    const { copier, queue } = start({ concurrency: 1 });
    void queue.enqueue(job('a', { to: 'away.test' }));
    void queue.enqueue(job('b', { to: 'away.test' }));
    void queue.enqueue(job('c', { to: 'fine.test' }));
    copier.started[0]?.fail(away('away.test'));
    await settledPromises();
    expect(copier.names).toEqual(['a', 'c']);
  });

  it('is tried by another copy when the first one failed at another registry', async () => {
    const { clock, copier, queue } = start({ concurrency: 1 });
    void queue.enqueue(job('a', { from: 'away.test', to: 't1.test' }));
    void queue.enqueue(job('b', { from: 'away.test', to: 't2.test' }));
    copier.started[0]?.fail(away('away.test'));
    await clock.pass(1_000);
    copier.started[1]?.fail(failure('server', true, { host: 't2.test' }));
    await settledPromises();
    expect(copier.names).toEqual(['a', 'b', 'a']);
  });

  it('is not blamed for an image that fails', async () => {
    const { copier, queue } = start({ concurrency: 1 });
    for (const name of ['a', 'b']) void queue.enqueue(job(name));
    copier.started[0]?.fail(failure('server', true, { host: 'docker.io' }));
    await settledPromises();
    expect(copier.names).toEqual(['a', 'b']);
  });
});

describe('a copy that an admission waits for', () => {
  it('runs before other copies of all registries, in the order of arrival', async () => {
    const { copier, queue } = start({ concurrency: 1 });
    for (const name of ['a', 'b']) void queue.enqueue(job(name));
    void queue.enqueue(job('c', { from: 'other.test' }));
    for (const name of ['w1', 'w2']) void queue.enqueue(job(name), { awaiting: {} });
    for (let n = 0; n < 5; n += 1) {
      copier.started[n]?.end();
      await settledPromises();
    }
    expect(copier.names).toEqual(['a', 'w1', 'w2', 'c', 'b']);
  });

  it('moves to the front when it is already queued', async () => {
    const { copier, queue } = start({ concurrency: 1 });
    for (const name of ['a', 'b', 'c', 'd']) void queue.enqueue(job(name));
    void queue.enqueue(job('d'), { awaiting: {} });
    for (let n = 0; n < 4; n += 1) {
      copier.started[n]?.end();
      await settledPromises();
    }
    expect(copier.names).toEqual(['a', 'd', 'b', 'c']);
  });
});

describe('a change that may fix failures', () => {
  it('of pull secrets retries failed copies that were tried with secrets of the namespace', async () => {
    const { copier, queue } = start();
    const pull = (namespace: string) => ({ pull: { namespace, serviceAccount: 'default', secretNames: ['x'] } });
    for (const [name, namespace] of [
      ['one', 'a'],
      ['both', 'a'],
      ['both', 'b'],
      ['other', 'c'],
    ] as const) {
      void queue.enqueue(job(name, pull(namespace)));
      copier.started.at(-1)?.fail(failure('unauthorized', false, { host: 'docker.io' }));
      await settledPromises();
    }
    void queue.enqueue(job('public'));
    copier.started.at(-1)?.fail(failure('absent', false, { host: 'docker.io' }));
    await settledPromises();
    copier.started.splice(0);
    queue.retryNow(CREDENTIAL_REASONS, new Set(['a', 'z']));
    expect(copier.started.map(({ job: { pull: by } }) => by?.namespace)).toEqual(['a', 'a']);
    expect(copier.names.sort()).toEqual(['both', 'one']);
  });

  it.each(CREDENTIAL_REASONS)('of credentials retries %s at once', async (reason) => {
    const { clock, copier, queue } = start();
    void queue.enqueue(job('private'));
    copier.started[0]?.fail(failure(reason, false, { host: 'docker.io' }));
    await settledPromises();
    await clock.pass(1_000);
    expect(copier.names).toEqual(['private']);
    queue.retryNow(CREDENTIAL_REASONS);
    expect(copier.names).toEqual(['private', 'private']);
  });

  it('does not retry copies that failed for another reason', async () => {
    const { copier, queue } = start();
    void queue.enqueue(job('broken'));
    copier.started[0]?.fail(failure('invalid', false, { host: 'docker.io' }));
    await settledPromises();
    queue.retryNow(CONFIGURATION_REASONS);
    expect(copier.names).toEqual(['broken']);
  });

  it('does not affect a running copy', async () => {
    const { copier, queue } = start();
    void queue.enqueue(job('private'));
    queue.retryNow(CREDENTIAL_REASONS);
    for (const n of [0, 1]) {
      copier.started[n]?.fail(failure('unauthorized', false, { host: 'docker.io' }));
      await settledPromises();
    }
    expect(copier.names).toEqual(['private', 'private']);
    expect(queue.counts()).toMatchObject({ failed: 1 });
  });

  it('of the configuration retries unreachable registries at once, and throttling ones after their wait', async () => {
    const { copier, queue } = start({ concurrency: 2 });
    void queue.enqueue(job('a', { from: 'away.test' }));
    void queue.enqueue(job('b', { from: 'busy.test' }));
    copier.started[0]?.fail(away('away.test'));
    copier.started[1]?.fail(away('busy.test', 30_000));
    await settledPromises();
    queue.retryNow(CONFIGURATION_REASONS);
    expect(copier.names).toEqual(['a', 'b', 'a']);
  });
});
