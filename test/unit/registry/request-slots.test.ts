import { describe, expect, it } from 'vitest';
import { RequestSlots, type ConnectionUse } from '../../../extension-service/src/registry/transport/request-slots.js';

const ORIGIN = 'https://registry.example.com';

/** Whether the promise has settled once all others could. */
async function isSettled(work: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  const ended = work.then(
    () => undefined,
    () => undefined,
  );
  return (await Promise.race([ended, new Promise((resolve) => setImmediate(resolve, pending))])) !== pending;
}

describe('slots for requests to one origin', () => {
  it.each<[ConnectionUse, ConnectionUse]>([
    ['download', 'upload'],
    ['download', 'exchange'],
    ['upload', 'exchange'],
    ['exchange', 'download'],
  ])('used for each %s leave those for each %s free', async (used, other) => {
    const slots = new RequestSlots(1);
    await slots.take(ORIGIN, used, undefined);
    expect(await isSettled(slots.take(ORIGIN, used, undefined))).toBe(false);
    expect(await isSettled(slots.take(ORIGIN, other, undefined))).toBe(true);
    expect(await isSettled(slots.take('https://other.example.com', used, undefined))).toBe(true);
  });

  it('are not needed for the rest of a download', async () => {
    const slots = new RequestSlots(1);
    const rests = Promise.all([1, 2, 3].map(() => slots.take(ORIGIN, 'resume', undefined)));
    expect(await isSettled(rests)).toBe(true);
  });

  it('go to waiting requests in the order of arrival, each once', async () => {
    const slots = new RequestSlots(1);
    const free = await slots.take(ORIGIN, 'upload', undefined);
    const order: string[] = [];
    const take = async (name: string): Promise<() => void> => {
      const next = await slots.take(ORIGIN, 'upload', undefined);
      order.push(name);
      return next;
    };
    const [second, third] = [take('second'), take('third')];
    free();
    free();
    const freeSecond = await second;
    expect(await isSettled(third)).toBe(false);
    freeSecond();
    (await third)();
    expect(order).toEqual(['second', 'third']);
    expect(await isSettled(slots.take(ORIGIN, 'upload', undefined))).toBe(true);
  });

  it('are not given to requests that were aborted while they waited', async () => {
    const slots = new RequestSlots(1);
    const free = await slots.take(ORIGIN, 'exchange', undefined);
    const aborter = new AbortController();
    const aborted = slots.take(ORIGIN, 'exchange', aborter.signal);
    const last = slots.take(ORIGIN, 'exchange', undefined);
    aborter.abort(new Error('no longer needed'));
    await expect(aborted).rejects.toThrow('no longer needed');
    free();
    expect(await isSettled(last)).toBe(true);
    await expect(slots.take(ORIGIN, 'exchange', aborter.signal)).rejects.toThrow('no longer needed');
  });
});
