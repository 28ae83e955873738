import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AwsConfig } from '../../../../extension-service/src/kinds/aws/config.js';
import { QuotaPool, quotaTime, RateLimit } from '../../../../extension-service/src/kinds/aws/quotas.js';
import { awsConfig } from './config.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Starts `count` requests together. Returns the delay after which each may be sent, in milliseconds. */
async function timesOf(wait: () => Promise<void>, count: number, milliseconds: number): Promise<number[]> {
  const start = Date.now();
  const times: number[] = [];
  const all = Array.from({ length: count }, async () => {
    await wait();
    times.push(Date.now() - start);
  });
  await vi.advanceTimersByTimeAsync(milliseconds);
  await Promise.all(all);
  return times;
}

describe('a rate limit', () => {
  it('allows a burst of one second, then keeps the rate', async () => {
    const limit = new RateLimit({ rate: 10, now: Date.now });
    const times = await timesOf(() => limit.wait(undefined), 30, 2_100);
    expect(times.filter((time) => time === 0)).toHaveLength(10);
    expect(times.filter((time) => time <= 1_000).length).toBeLessThanOrEqual(21);
    expect(times.at(-1)).toBeGreaterThanOrEqual(1_990);
  });

  it('halves the rate after a rejection, and returns to the quota', async () => {
    const limit = new RateLimit({ rate: 16, now: Date.now });
    limit.recordThrottled();
    limit.recordThrottled();
    expect(limit.rate).toBe(8);
    await vi.advanceTimersByTimeAsync(1_500);
    limit.recordThrottled();
    expect(limit.rate).toBeLessThan(6);
    await vi.advanceTimersByTimeAsync(30_000);
    await limit.wait(undefined);
    expect(limit.rate).toBe(16);
  });

  it('never stops completely', async () => {
    const limit = new RateLimit({ rate: 16, now: Date.now });
    for (let i = 0; i < 50; i++) {
      limit.recordThrottled();
      await vi.advanceTimersByTimeAsync(1_001);
    }
    expect(limit.rate).toBeGreaterThanOrEqual(1);
  });

  it('releases a waiter that is aborted, and continues with the next', async () => {
    const limit = new RateLimit({ rate: 1, now: Date.now });
    await limit.wait(undefined);
    const abort = new AbortController();
    const given = limit.wait(abort.signal);
    const next = limit.wait(undefined);
    abort.abort(new Error('given up'));
    await expect(given).rejects.toThrow('given up');
    await vi.advanceTimersByTimeAsync(1_000);
    await expect(next).resolves.toBeUndefined();
  });
});

describe('the quotas of an account', () => {
  const quotas = { putImage: 10, initiateLayerUpload: 100, completeLayerUpload: 100 };

  it('are shared by its targets in a region, by action', async () => {
    const pool = new QuotaPool();
    const one = pool.pacer(awsConfig({ prefix: 'one' }));
    const two = pool.pacer(awsConfig({ prefix: 'two' }));
    const other = pool.pacer(awsConfig({ region: 'us-east-1' }));
    for (let i = 0; i < 10; i++) await one.wait('put-manifest', undefined);
    const settled = vi.fn();
    void two.wait('put-manifest', undefined).then(settled);
    await vi.advanceTimersByTimeAsync(0);
    expect(settled).not.toHaveBeenCalled();
    await other.wait('put-manifest', undefined);
    await two.wait('start-upload', undefined);
    await vi.advanceTimersByTimeAsync(200);
    expect(settled).toHaveBeenCalledTimes(1);
  });

  it.each<[string, AwsConfig['quotas'], { manifests: number; blobs: number }, number, string]>([
    ['many manifests', quotas, { manifests: 11_000, blobs: 100 }, 1_100_000, 'PutImage 10/s'],
    ['many blobs', quotas, { manifests: 1, blobs: 5_000 }, 50_000, 'InitiateLayerUpload 100/s'],
    ['a raised quota', { ...quotas, putImage: 1_000 }, { manifests: 1_000, blobs: 10 }, 1_000, 'PutImage 1000/s'],
    ['nothing', quotas, { manifests: 0, blobs: 0 }, 0, 'PutImage 10/s'],
  ])('say how long %s last at least', (_, given, requests, milliseconds, limitedBy) => {
    expect(quotaTime(given, requests)).toEqual({ milliseconds, limitedBy });
  });
});
