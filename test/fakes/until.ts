import { setTimeout as sleep } from 'node:timers/promises';

export type Until = (what: string, holds: () => boolean | Promise<boolean>, seconds?: number) => Promise<void>;

/**
 * Milliseconds between two checks: a tenth of the time waited so far, because a check may send a request to an API
 * server.
 */
const SHORTEST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 100;

/** Waits until a condition holds. The time limit catches tests that hang and is long enough for slow machines. */
export const until: Until = untilWith(() => '');

/** Like `until`, with more information after a timeout, such as a log. */
export function untilWith(detail: () => string): Until {
  return async (what, holds, seconds = 120) => {
    const started = performance.now();
    while (!(await holds())) {
      const waited = performance.now() - started;
      if (waited > seconds * 1_000) throw new Error(`not within ${seconds} s: ${what}\n${detail()}`.trimEnd());
      await sleep(Math.min(Math.max(waited / 10, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS));
    }
  };
}
