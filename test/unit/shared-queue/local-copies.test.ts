import { describe, expect, it } from 'vitest';
import { QuotaPool } from '../../../extension-service/src/kinds/aws/quotas.js';
import { PrefetchLimit, storedLimits } from '../../../extension-service/src/shared-queue/limits.js';
import { LocalCopies } from '../../../extension-service/src/shared-queue/local-copies.js';
import { NamedLock } from '../../../extension-service/src/shared-queue/named-lock.js';
import { configOf } from '../decide/rules-of.js';
import { HeldCopier, failure, job } from '../mirror/queue-world.js';

const never = new AbortController().signal;
const quiet = (): void => undefined;
const settledPromises = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('copies that a replica makes', () => {
  it('start in turns of the namespaces, within the slots', async () => {
    const copier = new HeldCopier();
    const copies = new LocalCopies(copier, { concurrency: 1 }, quiet);
    const of = (name: string, namespace: string) =>
      job(name, { pull: { namespace, serviceAccount: 'default', secretNames: [] } });
    for (const one of [of('a1', 'a'), of('a2', 'a'), of('a3', 'a'), of('b1', 'b')]) void copies.run(one, never, quiet);
    // One slot is reserved for another namespace.
    expect(copier.names).toEqual(['a1', 'b1']);
    copier.started[0]?.end();
    await settledPromises();
    expect(copier.names).toEqual(['a1', 'b1', 'a2']);
  });

  it('end with the failure of their registry, before they are tried, when it does not answer', async () => {
    const copier = new HeldCopier();
    const copies = new LocalCopies(copier, { concurrency: 1 }, quiet);
    const results = ['one', 'two'].map((name) => copies.run(job(name), never, quiet));
    const other = copies.run(job('other', { from: 'ghcr.io' }), never, quiet);
    copier.started[0]?.fail(failure('throttled', true, { host: 'docker.io', retryAfter: 7_000 }));
    const [first, second] = await Promise.all(results);
    expect(first).toMatchObject({ ok: false, failure: { reason: 'throttled' } });
    expect(second).toMatchObject({ ok: false, failure: { reason: 'throttled', retryAfter: 7_000 } });
    expect(copier.names).toEqual(['one', 'other']);
    copier.started.at(-1)?.end();
    expect(await other).toMatchObject({ ok: true });
  });

  it('end while a registry requires a wait, and are repeated afterwards', async () => {
    let now = 0;
    const copier = new HeldCopier();
    const copies = new LocalCopies(copier, { concurrency: 4 }, quiet, () => now);
    const message = 'docker.io: too many requests';
    const waits = { reason: 'throttled', message, retryable: true, host: 'docker.io', retryAfter: 60_000 } as const;
    copies.hostFailed(waits);
    now = 10_000;
    const early = await copies.run(job('early'), never, quiet);
    const reason = { reason: 'throttled', retryAfter: 50_000, host: 'docker.io' };
    expect(early).toMatchObject({ ok: false, failure: reason });
    if (early.ok) throw new Error('no failure');
    expect(early.failure.message).toContain(message);
    // Another replica reports the same pause a moment later, which does not make it longer.
    now = 10_050;
    copies.hostFailed(early.failure);
    void copies.run(job('other', { from: 'ghcr.io' }), never, quiet);
    expect(copier.names).toEqual(['other']);
    // The requesting replica sends the first copy when its own wait is over.
    now = 59_500;
    void copies.run(job('trial'), never, quiet);
    expect(copier.names).toEqual(['other', 'trial']);
  });

  it('are tried at once after a failure without a wait', async () => {
    const copier = new HeldCopier();
    const copies = new LocalCopies(copier, { concurrency: 4 }, quiet);
    copies.hostFailed({ reason: 'unreachable', message: 'x', retryable: true, host: 'docker.io' });
    void copies.run(job('app'), never, quiet);
    await settledPromises();
    expect(copier.names).toEqual(['app']);
  });

  it('end as stopped when they are handed back', async () => {
    const copier = new HeldCopier();
    const copies = new LocalCopies(copier, { concurrency: 1 }, quiet);
    const abort = new AbortController();
    const [running, waiting] = ['one', 'two'].map((name) => copies.run(job(name), abort.signal, quiet));
    void copies.drain(0);
    expect(await waiting).toMatchObject({ ok: false, failure: { reason: 'stopped' } });
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(copier.started[0]?.signal.aborted).toBe(true);
    copier.started[0]?.fail(new Error('aborted'));
    expect(await running).toMatchObject({ ok: false, failure: { reason: 'stopped' } });
  });
});

describe('limits with a queue server', () => {
  it('take one job for each slot, and up to four for each slot while no job ends', () => {
    const limit = new PrefetchLimit(2);
    expect(limit.current).toBe(2);
    for (let second = 0; second < 20; second += 1) limit.increase();
    expect(limit.current).toBe(8);
    limit.reset();
    expect(limit.current).toBe(2);
  });

  it('store fewer jobs than the replicas can take, and as many as before without a server', () => {
    const config = configOf();
    const { queue } = config;
    expect(storedLimits({ ...config, queue: { ...queue, type: 'redis' } }, 3)).toEqual({ concurrency: 3 * 4 * 3 });
    expect(storedLimits(config, 3)).toMatchObject({ concurrency: 4, perSource: 3 });
  });

  it("divide a registry's quotas by the replicas that copy", async () => {
    let replicas = 4;
    const quotas = { putImage: 40, initiateLayerUpload: 400, completeLayerUpload: 400 };
    const settings = { accountId: '1', region: 'r', quotas } as Parameters<QuotaPool['pacer']>[0];
    const pacer = new QuotaPool(() => replicas).pacer(settings);
    const inTime = async (count: number): Promise<number> => {
      const abort = new AbortController();
      let passed = 0;
      for (let index = 0; index < count; index += 1) {
        void pacer.wait('put-manifest', abort.signal).then(
          () => (passed += 1),
          () => undefined,
        );
      }
      await settledPromises();
      abort.abort();
      return passed;
    };
    // The limit allows a burst of one second.
    expect(await inTime(60)).toBe(10);
    replicas = 1;
    expect(await inTime(60)).toBeLessThan(10);
  });
});

describe('NamedLock', () => {
  it('admits callers one after another, and forgets those that gave up', async () => {
    const lock = new NamedLock();
    const release = await lock.acquire('a', never);
    const abort = new AbortController();
    const order: string[] = [];
    const second = lock.acquire('a', abort.signal).then((done) => (order.push('second'), done));
    const third = lock.acquire('a', never).then((done) => (order.push('third'), done));
    await lock.acquire('b', never);
    abort.abort();
    await second;
    release();
    (await third)();
    expect(order).toEqual(['second', 'third']);
    (await lock.acquire('a', never))();
  });
});
