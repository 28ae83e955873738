import { setTimeout as sleep } from 'node:timers/promises';

export type Until = (what: string, holds: () => boolean | Promise<boolean>, seconds?: number) => Promise<void>;

/** Waits until something holds. The limit is for tests that hang, and not for slow machines. */
export const until: Until = untilWith(() => '');

/** As `until`, with more to say when the time is over, such as a log. */
export function untilWith(detail: () => string): Until {
  return async (what, holds, seconds = 120) => {
    const deadline = performance.now() + seconds * 1_000;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`not within ${seconds} s: ${what}\n${detail()}`.trimEnd());
      await sleep(10);
    }
  };
}
