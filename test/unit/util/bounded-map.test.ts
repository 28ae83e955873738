import { expect, it } from 'vitest';
import { BoundedMap } from '../../../extension-service/src/util/bounded-map.js';

it('removes and returns the oldest entry', () => {
  const forgotten: [string, number][] = [];
  const map = new BoundedMap<string, number>(2, (key, value) => forgotten.push([key, value]));
  map.set('a', 1).set('b', 2).set('a', 3).set('c', 4);
  expect([...map]).toEqual([
    ['a', 3],
    ['c', 4],
  ]);
  expect(forgotten).toEqual([['b', 2]]);
  map.delete('a');
  map.set('d', 5);
  expect([...map.keys()]).toEqual(['c', 'd']);
});
