import type { Entry } from './entry.js';

/** Pause before an image is tried again that ran when the background worker ended: the others go first. */
export const SUSPECT_PAUSE_MS = 60_000;
/** Ends of the worker after which an image is not tried again for a long time. */
export const MAX_CRASHES = 2;
export const CRASHED_PAUSE_MS = 3_600_000;

/**
 * Charges the end of the background worker to the copies that can have caused it. All that ran are suspects at first, and
 * suspects run one at a time after that: when the worker ends again while one of them runs, it was that one.
 */
export class CrashLedger {
  private last: { readonly worker: number; readonly charged: ReadonlySet<Entry> } | undefined;

  /**
   * @param worker number of the worker that ended; all its copies fail together
   * @param running what ran then, `entry` included
   * @returns whether the crash is charged to `entry`
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
