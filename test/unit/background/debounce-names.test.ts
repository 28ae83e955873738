import { expect, it, vi } from 'vitest';
import { debounceNames } from '../../../extension-service/src/background/debounce-names.js';

it('reports names that come in a short time together, each once, and later ones separately', () => {
  vi.useFakeTimers();
  try {
    const flushed: (readonly string[])[] = [];
    const add = debounceNames(500, (names) => flushed.push(names));
    for (const name of ['a', 'b', 'a']) add(name);
    vi.advanceTimersByTime(499);
    expect(flushed).toEqual([]);
    vi.advanceTimersByTime(1);
    add('a');
    vi.advanceTimersByTime(500);
    expect(flushed).toEqual([['a', 'b'], ['a']]);
  } finally {
    vi.useRealTimers();
  }
});
