import { expect, it } from 'vitest';
import { PipeWaits } from '../../../extension-service/src/registry/pipe-waits.js';

type Step = readonly ['source' | 'target' | undefined, number];

it.each<readonly [string, readonly Step[], boolean]>([
  ['a source that sends nothing for a while', [['source', 1_000]], true],
  ['a source that drips', Array.from({ length: 100 }, (): Step => ['source', 20]), true],
  ['a short wait for the source', [['source', 999]], false],
  [
    'a target that took longer than the source',
    [
      ['source', 1_500],
      ['target', 1_600],
    ],
    false,
  ],
  [
    'a target that was slow before the source stopped',
    [
      ['target', 1_000],
      ['source', 1_100],
    ],
    true,
  ],
  [
    'time after everything was sent',
    [
      ['source', 900],
      [undefined, 60_000],
    ],
    false,
  ],
])('%s', (_what, steps, isStarved) => {
  let now = 5;
  const waits = new PipeWaits(() => now);
  for (const [side, time] of steps) {
    waits.waitFor(side);
    now += time;
  }
  expect(waits.isStarved).toBe(isStarved);
});
