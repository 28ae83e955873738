import { describe, expect, it } from 'vitest';
import { PaceGate, PaceGates } from '../../../extension-service/src/registry/transport/pace-gate.js';
import {
  maxInFlight,
  loweredPace,
  pauseOf,
  raisedPace,
  type Pace,
} from '../../../extension-service/src/registry/transport/pace.js';
import type { RegistryAction } from '../../../extension-service/src/registry/request-log.js';

describe('the request rate for a registry', () => {
  it.each([
    ['half of what was in flight, at first', undefined, 16, 5, 8],
    ['one at a time, when one was refused', undefined, 1, 5, 1],
    ['half of it, after another refusal', { limit: 8, loweredAt: 4 }, 8, 5, 4],
    ['as it is, when the request was on its way before', { limit: 8, loweredAt: 5 }, 8, 5, 8],
    ['pauses, below one at a time', { limit: 1, loweredAt: 4 }, 1, 5, 1 / 2],
    ['no longer pauses than a sixteenth', { limit: 1 / 16, loweredAt: 4 }, 1, 5, 1 / 16],
  ])('is lowered to %s', (_, pace, inFlight, startedAt, limit) => {
    expect(loweredPace(pace, inFlight, startedAt, 10).limit).toBe(limit);
  });

  it.each([
    [8, 8 + 1 / 8],
    [1, 2],
    [1 / 2, 0.55],
    [0.99, 1],
    [31.99, undefined],
  ])('%d increases to %d with an answer', (limit, raised) => {
    const grown = raisedPace({ limit, loweredAt: 3 });
    if (raised === undefined) expect(grown).toBeUndefined();
    else expect(grown?.limit).toBeCloseTo(raised);
  });

  it.each([
    [8.9, 8, 0],
    [1, 1, 0],
    [1 / 2, 1, 50],
    [1 / 4, 1, 150],
    [1 / 16, 1, 750],
  ])('%d means %i at once with %i ms between them', (limit, count, pause) => {
    const pace: Pace = { limit, loweredAt: 0 };
    expect([maxInFlight(pace), pauseOf(pace)]).toEqual([count, pause]);
  });
});

describe('a gate', () => {
  it('allows all requests until the registry rejects one, and then half as many', async () => {
    const gate = new PaceGate(clock());
    const leaves = await Promise.all(Array.from({ length: 8 }, () => gate.waitForTurn(undefined)));
    leaves[0]?.('throttled');
    let passed = 0;
    const later = Array.from({ length: 6 }, () => gate.waitForTurn(undefined).then((leave) => ((passed += 1), leave)));
    for (const leave of leaves.slice(1, 4)) leave('none');
    await settled();
    expect(passed).toBe(0);
    leaves[4]?.('none');
    await settled();
    expect(passed).toBe(1);
    for (const leave of leaves.slice(5)) leave('none');
    await settled();
    expect(passed).toBe(4);
    for (const entry of later) void entry.then((leave) => leave('none'));
    await Promise.all(later);
  });

  it('sends a request whose delay ends while the clock is read', async () => {
    // Each reading is 30 ms later than the one before. The delay of 50 ms ends between the second and the third.
    let time = 0;
    const gate = new PaceGate(() => (time += 30));
    for (let rejected = 0; rejected < 2; rejected++) (await gate.waitForTurn(undefined))('throttled');
    (await gate.waitForTurn(undefined))('none');
  });

  it('gives the turn of an aborted request to the next one', async () => {
    const gate = new PaceGate(clock());
    const first = await gate.waitForTurn(undefined);
    first('throttled');
    const holder = await gate.waitForTurn(undefined);
    const abort = new AbortController();
    const aborted = gate.waitForTurn(abort.signal);
    const next = gate.waitForTurn(undefined);
    abort.abort(new Error('over'));
    await expect(aborted).rejects.toThrow('over');
    holder('none');
    (await next)('none');
  });
});

describe('the pace of one kind of request', () => {
  const throttled = (gates: PaceGates, host: string, action: RegistryAction): Promise<unknown> =>
    gates.run(host, action, undefined, () => Promise.resolve({ statusCode: 429 }));
  /** How many of three requests are sent at once. */
  async function sentAtOnce(gates: PaceGates, host: string, action: RegistryAction): Promise<number> {
    let sent = 0;
    for (let n = 0; n < 3; n += 1) {
      void gates.run(host, action, undefined, () => new Promise<object>(() => (sent += 1)));
    }
    await settled();
    return sent;
  }

  it.each<RegistryAction>([
    'get-blob',
    'start-upload',
    'send-upload',
    'put-manifest',
    'head-manifest',
    'list-referrers',
  ])('(%s) is lowered at the registry that rejects it, and nowhere else', async (action) => {
    const gates = new PaceGates(clock());
    await throttled(gates, 'quay.io', action);
    expect(await sentAtOnce(gates, 'quay.io', action)).toBe(1);
    expect(await sentAtOnce(gates, 'ghcr.io', action)).toBe(3);
    expect(await sentAtOnce(gates, 'quay.io', 'get-manifest')).toBe(3);
  });
});

describe('the remaining pulls of a registry', () => {
  /** Asks to send this many requests that are never answered. @returns those that were sent, also later */
  async function send(gates: PaceGates, host: string, count: number): Promise<readonly number[]> {
    const sent: number[] = [];
    for (let n = 0; n < count; n += 1) {
      void gates.run(host, 'get-manifest', undefined, () => new Promise<object>(() => sent.push(n)));
    }
    await settled();
    return sent;
  }
  const report = (gates: PaceGates, host: string, remaining: string): Promise<unknown> =>
    gates.run(host, 'head-manifest', undefined, () =>
      Promise.resolve({ statusCode: 200, headers: { 'ratelimit-remaining': remaining } }),
    );

  it.each([
    ['7;w=21600', 3, 2],
    ['7;w=21600', 1, 7],
    ['2;w=21600', 3, 1],
    ['0;w=21600', 1, 1],
    ['100;w=21600', 3, 9],
    ['unlimited', 3, 9],
  ])('%s for %i replicas allow %i requests of one replica at once', async (remaining, replicas, count) => {
    const gates = new PaceGates(clock(), () => replicas);
    await report(gates, 'docker.io', remaining);
    expect(await send(gates, 'docker.io', 9)).toHaveLength(count);
    expect(await send(gates, 'quay.io', 9)).toHaveLength(9);
  });

  it('are divided again when replicas come or go, and waiting requests follow', async () => {
    let replicas = 4;
    const gates = new PaceGates(clock(), () => replicas);
    await report(gates, 'docker.io', '8;w=21600');
    const sent = await send(gates, 'docker.io', 9);
    expect(sent).toHaveLength(2);
    replicas = 1;
    await report(gates, 'docker.io', '6;w=21600');
    await settled();
    expect(sent).toHaveLength(6);
  });
});

function clock(): () => number {
  let now = 0;
  return () => (now += 1);
}

async function settled(): Promise<void> {
  for (let n = 0; n < 20; n += 1) await Promise.resolve();
}
