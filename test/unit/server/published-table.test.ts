import { expect, it } from 'vitest';
import { PublishedTable } from '../../../extension-service/src/server/published-table.js';

const MINUTE_MS = 60_000;

function published(first: readonly string[]) {
  let [now, names, reads] = [10_000_000, first, 0];
  const table = new PublishedTable({
    now: () => now,
    read: () => {
      reads += 1;
      return names.includes('fails') ? Promise.reject(new Error('no answer')) : Promise.resolve(names);
    },
  });
  return {
    table,
    reads: () => reads,
    /** Asks, and waits until the answer to a read has arrived. */
    ask: async (name: string) => {
      table.find(name);
      await new Promise((resolve) => setImmediate(resolve));
      return table.find(name);
    },
    become: (next: readonly string[]) => void (names = next),
    later: (milliseconds: number) => void (now += milliseconds),
    since: (ago: number) => new Date(now - ago).toISOString(),
  };
}

it('is read when something asks about it, and once a minute at most', async () => {
  const { table, ask, reads, later } = published(['a']);
  expect(reads()).toBe(0);
  expect(table.find('a')).toBeUndefined();
  await ask('a');
  later(MINUTE_MS - 1);
  await ask('b');
  expect(reads()).toBe(1);
  later(1);
  await ask('b');
  expect(reads()).toBe(2);
});

it('has an image since it was first seen, and no longer once it has left', async () => {
  const { ask, become, later, since } = published(['a']);
  expect(await ask('a')).toEqual({ state: 'present', since: since(0) });
  expect(await ask('b')).toEqual({ state: 'absent' });
  later(MINUTE_MS);
  become(['a', 'b']);
  expect(await ask('a')).toEqual({ state: 'present', since: since(MINUTE_MS) });
  expect(await ask('b')).toEqual({ state: 'present', since: since(0) });
  later(MINUTE_MS);
  become(['b']);
  expect(await ask('a')).toEqual({ state: 'absent' });
});

it('stays as it was when it cannot be read', async () => {
  const { ask, become, later, since } = published(['a']);
  await ask('a');
  become(['fails']);
  later(MINUTE_MS);
  expect(await ask('a')).toEqual({ state: 'present', since: since(MINUTE_MS) });
});

it('is unknown again after another configuration or a change of the leader, also while it is being read', async () => {
  const { table, ask, reads } = published(['a']);
  await ask('a');
  table.forget();
  expect(table.find('a')).toBeUndefined();
  table.forget();
  await new Promise((resolve) => setImmediate(resolve));
  expect(reads()).toBe(2);
  expect(table.find('a')).toBeUndefined();
});
