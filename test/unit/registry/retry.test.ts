import { describe, expect, it } from 'vitest';
import { RegistryError } from '../../../extension-service/src/registry/errors.js';
import {
  parseRetryAfter,
  withRetry,
  type RetryTools,
} from '../../../extension-service/src/registry/transport/retry.js';

const policy = { attempts: 4, baseDelay: 100, maxDelay: 300, maxRetryAfter: 5_000 };

function tools(random: number): RetryTools & { readonly pauses: number[] } {
  const pauses: number[] = [];
  return { pauses, random: () => random, sleep: async (milliseconds) => void pauses.push(milliseconds) };
}

function failing(error: Error, times: number): () => Promise<string> {
  let calls = 0;
  return async () => {
    if (calls++ < times) throw error;
    return `after ${calls}`;
  };
}

const server = new RegistryError('HTTP 503', { kind: 'server', host: 'r.example', status: 503 });

describe('withRetry', () => {
  it('doubles the pause up to its maximum, and waits a random part of it', async () => {
    const slow = tools(1);
    await expect(withRetry(policy, slow, undefined, failing(server, 9))).rejects.toBe(server);
    expect(slow.pauses).toEqual([100, 200, 300]);
    const half = tools(0.5);
    expect(await withRetry(policy, half, undefined, failing(server, 2))).toBe('after 3');
    expect(half.pauses).toEqual([50, 100]);
  });

  it('waits slightly longer than the registry asked', async () => {
    const error = new RegistryError('HTTP 429', { kind: 'throttled', host: 'r.example', retryAfter: 2_000 });
    const used = tools(0.5);
    await withRetry(policy, used, undefined, failing(error, 1));
    expect(used.pauses).toEqual([2_050]);
  });

  it('retries throttled requests longer where configured, and only those', async () => {
    const throttled = new RegistryError('HTTP 429', { kind: 'throttled', host: 'r.example' });
    const patient = { ...policy, throttledAttempts: 9 };
    expect(await withRetry(patient, tools(0), undefined, failing(throttled, 8))).toBe('after 9');
    await expect(withRetry(patient, tools(0), undefined, failing(throttled, 9))).rejects.toBe(throttled);
    await expect(withRetry(patient, tools(0), undefined, failing(server, 4))).rejects.toBe(server);
    await expect(withRetry(policy, tools(0), undefined, failing(throttled, 4))).rejects.toBe(throttled);
  });

  it('leaves a long Retry-After to the caller', async () => {
    const error = new RegistryError('HTTP 429', { kind: 'throttled', host: 'r.example', retryAfter: 3_600_000 });
    const used = tools(0);
    await expect(withRetry(policy, used, undefined, failing(error, 1))).rejects.toMatchObject({
      retryAfter: 3_600_000,
    });
    expect(used.pauses).toEqual([]);
  });

  it.each(['absent', 'unauthorized', 'forbidden', 'invalid', 'conflict', 'refused'] as const)(
    'does not repeat %s',
    async (kind) => {
      const used = tools(0);
      const error = new RegistryError('no', { kind, host: 'r.example' });
      await expect(withRetry(policy, used, undefined, failing(error, 1))).rejects.toBe(error);
      expect(used.pauses).toEqual([]);
    },
  );

  it('stops with the reason of an abort', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const aborting: RetryTools = { random: () => 0, sleep: async () => controller.abort(reason) };
    await expect(withRetry(policy, aborting, controller.signal, failing(server, 3))).rejects.toBe(reason);
  });
});

describe('parseRetryAfter', () => {
  const now = Date.UTC(2026, 0, 1);
  it.each([
    [undefined, undefined],
    ['120', 120_000],
    [' 0 ', 0],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['soon', undefined],
  ])('reads %j as %s ms', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });
});
