import { describe, expect, it } from 'vitest';
import type { Copier, CopyOutcome } from '../../../extension-service/src/mirror/copier.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { MirrorQueue } from '../../../extension-service/src/mirror/queue.js';
import { HeldCopier, OUTCOME, failure, job } from './queue-world.js';

const RETRY = { base: 1, max: 5, attempts: 3, pause: 60_000 };

function scripted(...answers: (CopyOutcome | Error)[]): Copier & { readonly jobs: MirrorJob[] } {
  const jobs: MirrorJob[] = [];
  return {
    jobs,
    async copy(copied) {
      jobs.push(copied);
      const answer = answers.shift() ?? OUTCOME;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
}

describe('one copy for any number of requests', () => {
  it('joins a copy that is queued or running', async () => {
    const copier = new HeldCopier();
    const queue = new MirrorQueue(copier, { concurrency: 1 });
    const results = Array.from({ length: 100 }, () => queue.enqueue(job('nginx')));
    expect(copier.started).toHaveLength(1);
    copier.started[0]?.end();
    for (const result of await Promise.all(results)) expect(result).toEqual({ ok: true, outcome: OUTCOME });
  });

  it('runs at most the configured number at once, in the order of requests', async () => {
    const copier = new HeldCopier();
    const queue = new MirrorQueue(copier, { concurrency: 2 });
    const all = ['a', 'b', 'c', 'd'].map((name) => queue.enqueue(job(name)));
    expect(copier.started.map(({ job: { source } }) => source)).toEqual(['a', 'b'].map((name) => job(name).source));
    expect(queue.counts()).toMatchObject({ running: 2, queued: 2 });
    copier.started[0]?.end();
    await all[0];
    expect(copier.started.map(({ job: { source } }) => source)).toEqual(
      ['a', 'b', 'c'].map((name) => job(name).source),
    );
  });

  it('runs a forced copy once more after one that was not forced', async () => {
    const copier = new HeldCopier();
    const queue = new MirrorQueue(copier, { concurrency: 1 });
    void queue.enqueue(job('nginx'));
    void queue.enqueue(job('nginx', { force: true }));
    copier.started[0]?.end();
    await new Promise(setImmediate);
    expect(copier.started.map(({ job: { force } }) => force)).toEqual([false, true]);
  });

  it('copies again on request after it has finished', async () => {
    const copier = scripted();
    const queue = new MirrorQueue(copier, { concurrency: 1 });
    await queue.enqueue(job('nginx'));
    await queue.enqueue(job('nginx'));
    expect(copier.jobs).toHaveLength(2);
  });
});

describe('failures', () => {
  it.each(['throttled', 'unreachable', 'server'] as const)('retries automatically after %s', async (reason) => {
    const copier = scripted(failure(reason, true), failure(reason, true));
    const finished = new Promise<number>((resolve) => {
      const queue = new MirrorQueue(copier, {
        concurrency: 1,
        retry: RETRY,
        events: { onDone: (_job, result, _ms, attempt) => result.ok && resolve(attempt) },
      });
      void queue.enqueue(job('nginx'));
    });
    expect(await finished).toBe(3);
  });

  it('answers waiting requests with the first failure at once', async () => {
    const queue = new MirrorQueue(scripted(failure('unreachable', true)), {
      concurrency: 1,
      retry: { ...RETRY, base: 60_000, max: 60_000 },
    });
    expect(await queue.enqueue(job('nginx'))).toMatchObject({ ok: false, failure: { reason: 'unreachable' } });
    const [status] = queue.list();
    expect(status).toMatchObject({ state: 'waiting', attempts: 1, failure: { reason: 'unreachable' } });
    expect(status?.nextTry).toBeGreaterThan(Date.now());
    await queue.stop(0);
  });

  it('gives up after the last attempt, and retries on request after the pause', async () => {
    let now = 1_000;
    let lastAttempt = (): void => undefined;
    const failed = new Promise<void>((resolve) => (lastAttempt = resolve));
    const copier = scripted(...Array.from({ length: 3 }, () => failure('server', true)));
    const queue = new MirrorQueue(copier, {
      concurrency: 1,
      retry: RETRY,
      now: () => now,
      events: { onDone: (_job, _result, _ms, attempt) => attempt === 3 && lastAttempt() },
    });
    void queue.enqueue(job('nginx'));
    await failed;
    expect(queue.list()[0]?.state).toBe('failed');
    expect(await queue.enqueue(job('nginx'))).toMatchObject({ ok: false });
    expect(copier.jobs).toHaveLength(3);
    now += RETRY.pause + 1;
    expect(await queue.enqueue(job('nginx'))).toMatchObject({ ok: true });
  });

  it('does not retry permanent failures', async () => {
    const copier = scripted(failure('invalid', false));
    const queue = new MirrorQueue(copier, { concurrency: 1, retry: RETRY });
    await queue.enqueue(job('nginx'));
    await queue.enqueue(job('nginx'));
    expect(copier.jobs).toHaveLength(1);
    expect(queue.list()[0]?.state).toBe('failed');
  });

  it.each(['unauthorized', 'forbidden', 'absent'] as const)(
    'retries %s at once when another Pod has its own pull secrets, once for each Pod',
    async (reason) => {
      const copier = scripted(failure(reason, false), failure(reason, false));
      const queue = new MirrorQueue(copier, { concurrency: 1, retry: RETRY });
      const pull = (namespace: string) => ({
        pull: { namespace, serviceAccount: 'default', secretNames: ['regcred'] },
      });
      await queue.enqueue(job('private', pull('a')));
      await queue.enqueue(job('private', pull('a')));
      await queue.enqueue(job('private', pull('b')));
      await queue.enqueue(job('private', pull('a')));
      expect(copier.jobs.map((copied) => copied.pull?.namespace)).toEqual(['a', 'b']);
    },
  );

  it('tries the secrets of the first requesting namespace first', async () => {
    const copier = new HeldCopier();
    const queue = new MirrorQueue(copier, { concurrency: 1, retry: RETRY });
    const of = (namespace: string): MirrorJob =>
      job('private', { pull: { namespace, serviceAccount: 'default', secretNames: ['regcred'] } });
    void queue.enqueue(job('busy'));
    const first = queue.enqueue(of('a'));
    void queue.enqueue(of('b'));
    copier.started[0]?.end();
    await new Promise(setImmediate);
    copier.started[1]?.fail(failure('unauthorized', false));
    await first;
    // The registry refused the secrets of `a`. The secrets of `b` are next, even if `a` requests the image again.
    void queue.enqueue(job('busy'));
    const second = queue.enqueue(of('b'));
    void queue.enqueue(of('a'));
    copier.started[2]?.end();
    await new Promise(setImmediate);
    copier.started[3]?.end();
    expect(await second).toMatchObject({ ok: true });
    expect(copier.started.map(({ job: { pull } }) => pull?.namespace)).toEqual([undefined, 'a', undefined, 'b']);
  });

  it('tries the secrets of another namespace although one namespace has hundreds', async () => {
    const refusals = Array.from({ length: 300 }, () => failure('unauthorized', false));
    const copier = scripted(...refusals);
    const queue = new MirrorQueue(copier, { concurrency: 1, retry: RETRY });
    const of = (namespace: string, secret: string): MirrorJob =>
      job('private', { pull: { namespace, serviceAccount: 'default', secretNames: [secret] } });
    for (let n = 0; n < 200; n++) await queue.enqueue(of('b', `secret-${n}`));
    const tries = copier.jobs.length;
    expect(tries).toBeLessThan(30);
    await queue.enqueue(of('a', 'regcred'));
    expect(copier.jobs.slice(tries).map(({ pull }) => pull?.namespace)).toEqual(['a']);
  });

  it('treats an error of unknown kind as internal and retryable', async () => {
    const queue = new MirrorQueue(scripted(new TypeError('boom')), {
      concurrency: 1,
      retry: { ...RETRY, base: 60_000 },
    });
    expect(await queue.enqueue(job('nginx'))).toMatchObject({
      ok: false,
      failure: { reason: 'internal', retryable: true },
    });
    await queue.stop(0);
  });
});

describe('bounds', () => {
  it('refuses and reports jobs beyond its capacity', async () => {
    const copier = new HeldCopier();
    const queue = new MirrorQueue(copier, { concurrency: 1, capacity: 2 });
    void queue.enqueue(job('a'));
    void queue.enqueue(job('b'));
    const refused = await queue.enqueue(job('c'));
    expect(refused).toMatchObject({
      ok: false,
      failure: { message: expect.stringContaining('queue is full (2)') as unknown },
    });
    expect(queue.list()).toHaveLength(2);
  });

  it('remembers only the newest finished copies', async () => {
    const queue = new MirrorQueue(scripted(), { concurrency: 8 });
    for (let i = 0; i < 800; i += 1) await queue.enqueue(job(`image-${i}`));
    const list = queue.list();
    expect(list.length).toBeLessThanOrEqual(501);
    expect(list.some(({ source }) => source === job('image-799').source)).toBe(true);
    expect(list.some(({ source }) => source === job('image-0').source)).toBe(false);
  });
});

describe('stopping', () => {
  it('lets running copies finish within the grace period and hands back the others', async () => {
    const copier = new HeldCopier();
    const queue = new MirrorQueue(copier, { concurrency: 1 });
    const first = queue.enqueue(job('a'));
    const second = queue.enqueue(job('b'));
    const stopped = queue.stop(10_000);
    copier.started[0]?.end();
    expect((await stopped).map(({ source }) => source)).toEqual([job('b').source]);
    expect(await first).toMatchObject({ ok: true });
    expect(await second).toMatchObject({ ok: false, failure: { reason: 'stopped' } });
    expect(await queue.enqueue(job('c'))).toMatchObject({ ok: false, failure: { reason: 'stopped' } });
  });

  it('aborts running copies after the grace period', async () => {
    const copier = new HeldCopier();
    const queue = new MirrorQueue(copier, { concurrency: 1 });
    void queue.enqueue(job('a'));
    const left = await queue.stop(5);
    expect(left.map(({ source }) => source)).toEqual([job('a').source]);
    expect(copier.started[0]?.signal.aborted).toBe(true);
  });
});
