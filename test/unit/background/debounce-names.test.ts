import { expect, it, vi } from 'vitest';
import { debounceNames } from '../../../extension-service/src/background/debounce-names.js';

it('reports names that come in a short time together, each once, and later ones separately', () => {
  vi.useFakeTimers();
  try {
    const told: (readonly string[])[] = [];
    const add = debounceNames(500, (names) => told.push(names));
    for (const name of ['a', 'b', 'a']) add(name);
    vi.advanceTimersByTime(499);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(1);
    add('a');
    vi.advanceTimersByTime(500);
    expect(told).toEqual([['a', 'b'], ['a']]);
  } finally {
    vi.useRealTimers();
  }
});
