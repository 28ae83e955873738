import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { LeaseWorld } from './lease-world.js';
import type { NetworkState, Replica } from './lease-world.js';

let world: LeaseWorld;

beforeEach(() => {
  world = new LeaseWorld();
});

const run = (seconds: number): Promise<void> => world.time.runUntil(world.time.now + seconds * 1_000, atMostOne);
const now = (): number => world.time.now / 1_000;

function atMostOne(): void {
  const leaders = world.leaders();
  if (leaders.length > 1) {
    throw new Error(`${leaders.map(({ identity }) => identity).join(' and ')} lead at ${now()} s`);
  }
}

/** Waits until the condition is true. @returns the seconds that passed */
async function until(condition: () => boolean, limit = 60): Promise<number> {
  const begin = now();
  while (!condition()) {
    if (now() - begin > limit) throw new Error(`not within ${limit} s`);
    await run(0.05);
  }
  return now() - begin;
}

async function leaderAndOther(): Promise<[Replica, Replica]> {
  const one = world.start({ pod: 'a' });
  await run(1);
  const other = world.start({ pod: 'b' });
  await run(5);
  expect([one.working, other.working]).toEqual([true, false]);
  return [one, other];
}

describe('an election', () => {
  it('is won by one replica, which renews the Lease, and the others know its name', async () => {
    const [one, other] = await leaderAndOther();
    await run(120);
    expect(one.elections).toBe(1);
    expect(one.state).toEqual({ leading: true, holder: one.identity });
    expect(other.state).toEqual({ leading: false, holder: one.identity });
    expect(world.lease?.record).toMatchObject({ holder: one.identity, duration: 8_000, transitions: 0 });
  });

  it('gives the Lease to another replica as soon as that of a crashed leader has expired', async () => {
    const [one, other] = await leaderAndOther();
    one.crash();
    const taken = await until(() => other.working);
    expect(taken).toBeGreaterThan(5);
    expect(taken).toBeLessThan(10);
    expect(world.lease?.record.transitions).toBe(1);
  });

  it('gives the Lease to another replica at once when the leader stops', async () => {
    const [one, other] = await leaderAndOther();
    one.stop();
    expect(await until(() => other.working)).toBeLessThan(2);
    expect(one.ended).toBe(true);
    expect(one.state?.leading).toBe(false);
  });

  it("gives the Lease at once to a container that replaces the leader's in its Pod", async () => {
    const [one, other] = await leaderAndOther();
    one.crash();
    const restarted = world.start({ pod: 'a' });
    expect(await until(() => restarted.working)).toBeLessThan(0.5);
    expect(other.working).toBe(false);
  });

  it('waits for the tasks of a stopping leader and keeps the Lease until then', async () => {
    const one = world.start({ pod: 'a', drain: 20_000 });
    await run(1);
    const other = world.start({ pod: 'b' });
    await run(3);
    one.stop();
    await run(19);
    expect(world.holder()).toBe(one.identity);
    expect([one.busy, one.working, other.working]).toEqual([true, false, false]);
    await run(4);
    expect([one.ended, other.working]).toEqual([true, true]);
  });

  it('ends at once for a replica that stops and does not lead', async () => {
    const [one, other] = await leaderAndOther();
    other.network = 'losing requests';
    await run(1.5);
    other.stop();
    await run(0.01);
    expect(other.ended).toBe(true);
    expect(world.holder()).toBe(one.identity);
  });
});

describe('a leader that cannot renew', () => {
  it.each<NetworkState>(['refusing', 'losing requests', 'losing answers'])(
    'gives up 6 s after its last renewal while the network is %s, before another replica can lead',
    async (network) => {
      const [one, other] = await leaderAndOther();
      one.network = network;
      const lost = await until(() => !one.working);
      expect(lost).toBeGreaterThan(3.9);
      expect(lost).toBeLessThanOrEqual(6.1);
      expect(one.state?.leading).toBe(false);
      const taken = lost + (await until(() => other.working));
      expect(taken).toBeLessThan(network === 'losing answers' ? 18 : 10);
      one.network = 'up';
      await run(30);
      expect([one.working, other.working]).toEqual([false, true]);
      expect(one.log.filter((line) => line.startsWith('warn')).length).toBeLessThan(4);
    },
  );

  it('continues to lead when the API server recovers within that time', async () => {
    const [one, other] = await leaderAndOther();
    for (const replica of [one, other]) replica.network = 'losing requests';
    await run(3.5);
    for (const replica of [one, other]) replica.network = 'up';
    await run(30);
    expect([one.elections, one.working, other.working]).toEqual([1, true, false]);
  });

  it('gives up although its tasks do not end, and does not lead again before they end', async () => {
    const one = world.start({ pod: 'a', drain: 25_000 });
    await run(3);
    one.network = 'refusing';
    await until(() => !one.working);
    one.network = 'up';
    await run(24);
    expect([one.elections, one.state?.leading, one.busy]).toEqual([1, false, true]);
    await run(4);
    expect([one.elections, one.working]).toEqual([2, true]);
  });

  it('gets a Lease again soon after all replicas lost the API server for a minute', async () => {
    const [one, other] = await leaderAndOther();
    for (const replica of [one, other]) replica.network = 'refusing';
    await run(60);
    expect(world.leaders()).toEqual([]);
    for (const replica of [one, other]) replica.network = 'up';
    expect(await until(() => world.leaders().length === 1)).toBeLessThan(3);
  });
});

describe('a replica that the API server refuses', () => {
  const unavailable = (replica: Replica): string | undefined => replica.state?.unavailable;

  it('waits 20 s before it considers itself alone, because rights are granted shortly after the Pods start', async () => {
    const one = world.start({ pod: 'a' });
    one.network = 'forbidding';
    await run(19.9);
    expect(one.states).toEqual([]);
    await run(0.2);
    expect(one.states).toEqual([{ leading: false, holder: undefined, unavailable: 'forbidden' }]);
    expect(one.log).toEqual(['warn: no leader election: forbidden']);
    one.network = 'up';
    await until(() => one.working, 15);
    expect(unavailable(one)).toBeUndefined();
  });

  it('is never alone when refusals end within that time, however often they occur', async () => {
    const [one, other] = await leaderAndOther();
    for (let times = 0; times < 5; times += 1) {
      other.network = 'forbidding';
      await run(19);
      other.network = times % 2 === 0 ? 'refusing' : 'up';
      await run(10);
    }
    expect(other.states.filter((state) => state.unavailable !== undefined)).toEqual([]);
    expect(one.elections).toBe(1);
  });

  it('hands back its copies first if it led, and is alone only later', async () => {
    const one = world.start({ pod: 'a' });
    await run(1);
    one.network = 'forbidding';
    expect(await until(() => !one.working)).toBeLessThanOrEqual(6.1);
    expect(one.state).toEqual({ leading: false, holder: one.identity });
    await until(() => unavailable(one) !== undefined, 21);
    expect(one.states.map(({ leading, unavailable: why }) => [leading, why])).toEqual([
      [true, undefined],
      [false, undefined],
      [false, 'forbidden'],
    ]);
  });
});

describe('a Lease that another client', () => {
  it('deleted is recreated by its leader, without a second leader', async () => {
    const [one, other] = await leaderAndOther();
    world.lease = undefined;
    await run(30);
    expect([one.working, one.elections, other.working]).toEqual([true, 1, false]);
    expect(world.holder()).toBe(one.identity);
  });

  it('gave to another name stops the leader at its next renewal and is taken over when that name does not renew', async () => {
    const [one, other] = await leaderAndOther();
    world.edit({ holderIdentity: 'kilroy' });
    expect(await until(() => !one.working)).toBeLessThanOrEqual(2.1);
    expect(await until(() => world.leaders().length === 1)).toBeLessThan(10);
    expect(one.elections + other.elections).toBe(2);
  });

  it.each([
    { leaseDurationSeconds: 1 },
    { leaseTransitions: 2 ** 31 - 1 },
    { renewTime: '1970-01-01T00:00:00.000000Z', acquireTime: 'garbage' },
    { renewTime: '2999-01-01T00:00:00.000000Z' },
  ])('edited to have %j is corrected by its leader', async (change) => {
    const [one, other] = await leaderAndOther();
    world.edit(change);
    await run(30);
    expect([one.working, one.elections, other.elections]).toEqual([true, 1, 0]);
    expect(world.lease?.record).toMatchObject({ holder: one.identity, duration: 8_000 });
  });
});

/** An event that hits one replica at a given time. */
const faultArbitrary = fc.record({
  after: fc.integer({ min: 0, max: 15_000 }),
  replica: fc.nat(2),
  what: fc.constantFrom<NetworkState | 'crash' | 'restart' | 'stop'>(
    ...(['up', 'up', 'refusing', 'losing requests', 'losing answers', 'crash', 'restart', 'stop'] as const),
  ),
});

describe('with random faults', () => {
  it('never has two leaders, and has one soon after the faults end', async () => {
    const property = fc.asyncProperty(
      fc.array(faultArbitrary, { minLength: 1, maxLength: 12 }),
      fc.array(fc.double({ min: 0.95, max: 1.05, noNaN: true }), { minLength: 3, maxLength: 3 }),
      fc.array(fc.integer({ min: 0, max: 4_000 }), { minLength: 3, maxLength: 3 }),
      fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      async (accidents, rates, drains, seed) => {
        world = new LeaseWorld(randomFrom(seed), 300);
        let pods = 0;
        const start = (index: number, pod = `pod-${(pods += 1)}`): Replica =>
          world.start({ pod, rate: rates[index] ?? 1, drain: drains[index] ?? 0 });
        const replicas = rates.map((_, index) => start(index));
        for (const { after, replica: index, what } of accidents) {
          await run(after / 1_000);
          const replica = replicas[index];
          if (replica === undefined) continue;
          if (what === 'crash') {
            replica.crash();
            // The kubelet restarts the container in the same Pod.
            replicas[index] = start(index, replica.options.pod);
          } else if (what === 'restart') {
            replica.crash();
            replicas[index] = start(index);
          } else if (what === 'stop') {
            replica.stop();
            replicas[index] = start(index);
          } else {
            replica.network = what;
          }
        }
        for (const replica of replicas) replica.network = 'up';
        // The limit covers a hanging request, a pause, 8 s on a slow clock, and tasks that are still ending.
        await until(() => world.leaders().length === 1, 18);
        // After this time, lost requests have timed out.
        await run(5);
        world.leaders()[0]?.crash();
        await until(() => world.leaders().length === 1, 12);
      },
    );
    await fc.assert(property, { numRuns: 100 });
  });
});

/** A pseudo-random number generator (mulberry32) with a seed, so that a failure can be reproduced. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
