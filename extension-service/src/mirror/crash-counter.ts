import type { Entry } from './entry.js';

/** Delay before an image is retried that was being copied when the background worker ended: others go first. */
export const CRASHED_JOB_PAUSE_MS = 60_000;
/** Number of worker crashes after which an image is not retried for a long time. */
export const MAX_CRASHES = 2;
export const CRASHED_PAUSE_MS = 3_600_000;

/**
 * Attributes a crash of the background worker to the copies that can have caused it. All running copies are suspects at
 * first, and suspects then run one at a time: if the worker ends again while one of them runs, that one is the cause.
 */
export class CrashCounter {
  private last: { readonly worker: number; readonly charged: ReadonlySet<Entry> } | undefined;

  /**
   * @param worker number of the worker that ended; all its copies fail together
   * @param running the copies that ran then, including `entry`
   * @returns whether the crash is attributed to `entry`
   */
  charge(worker: number, entry: Entry, running: () => readonly Entry[]): boolean {
    if (this.last?.worker !== worker) {
      const all = running();
      const suspects = all.filter(({ isSuspect }) => isSuspect);
      this.last = { worker, charged: new Set(suspects.length > 0 ? suspects : all) };
    }
    if (!this.last.charged.has(entry)) return false;
    entry.isSuspect = true;
    entry.crashes += 1;
    return true;
  }
}
