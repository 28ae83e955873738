import { describe, expect, it } from 'vitest';
import { retryDelay, hostTimeout } from '../../../extension-service/src/mirror/retry.js';

const POLICY = { base: 1_000, max: 300_000, attempts: 12, pause: 60_000 };
const throttled = (retryAfter: number) => ({
  reason: 'throttled' as const,
  message: 'r.example: HTTP 429',
  retryable: true,
  retryAfter,
});

describe('a wait that a registry asks for', () => {
  it.each([5_000, 300_001, 6 * 3_600_000])('of %i ms is never shortened', (retryAfter) => {
    expect(retryDelay(POLICY, 1, throttled(retryAfter), () => 0)).toBeGreaterThanOrEqual(retryAfter);
    expect(hostTimeout(POLICY, throttled(retryAfter), 0)).toBeUndefined();
  });

  it('ends the attempts and names the time when it is too long for interactive use', () => {
    const patient = { ...POLICY, longestWait: 60_000 };
    expect(hostTimeout(patient, throttled(20_000), 0)).toBeUndefined();
    expect(hostTimeout(patient, throttled(3_600_000), 0)).toMatchObject({
      reason: 'throttled',
      message: 'r.example: HTTP 429; it requests a wait of 3600 s, until 1970-01-01T01:00:00.000Z',
    });
  });
});
