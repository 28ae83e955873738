import { describe, expect, it } from 'vitest';
import { BodyRate, MIN_BODY_RATE } from '../../../extension-service/src/registry/transport/body-rate.js';

const SECOND = 1_000;
const WINDOW = 60 * SECOND;

/** Checks the rate each second. @returns the second in which the body was too slow; undefined if it never was */
function watched(seconds: number, at: (second: number) => { readonly progress: number; readonly waiting: boolean }) {
  const rate = new BodyRate(WINDOW, 2 * SECOND, 0, 0);
  for (let second = 1; second <= seconds; second += 1) {
    if (rate.isTooSlow(at(second), second * SECOND)) return second;
  }
  return undefined;
}

describe('the minimum rate of a body', () => {
  it('ends a layer of 100 MB with one byte per ten seconds after a minute', () => {
    expect(watched(3_600, (second) => ({ progress: Math.floor(second / 10), waiting: true }))).toBe(60);
  });

  it('allows a copy of 10 GB to run for a day when it shares 1 Mbit/s with 23 others', () => {
    const share = 125_000 / 24;
    expect(share).toBeGreaterThan(MIN_BODY_RATE);
    expect(watched(24 * 3_600, (second) => ({ progress: Math.floor(second * share), waiting: true }))).toBeUndefined();
  });

  it('accepts a body that sometimes stops for twenty seconds', () => {
    const bursts = (second: number) => Math.floor(second / 20) * 20 * (MIN_BODY_RATE + 1);
    expect(watched(3_600, (second) => ({ progress: bursts(second), waiting: true }))).toBeUndefined();
  });

  it('does not count the time in which the peer waits for the service', () => {
    expect(watched(3_600, () => ({ progress: 0, waiting: false }))).toBeUndefined();
    expect(watched(3_600, (second) => ({ progress: 0, waiting: second % 2 === 0 }))).toBe(120);
  });

  it('does not blame the peer for a busy thread', () => {
    const rate = new BodyRate(WINDOW, 2 * SECOND, 0, 0);
    expect(rate.isTooSlow({ progress: 0, waiting: true }, 3_600 * SECOND)).toBe(false);
  });

  it('ends a body that becomes slow later', () => {
    expect(watched(3_600, (second) => ({ progress: Math.min(second, 100) * 1_000_000, waiting: true }))).toBe(180);
  });
});
