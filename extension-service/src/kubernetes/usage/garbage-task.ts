import { messageOf } from '../../util/message-of.js';
import { sleep } from '../../util/sleep.js';
import type { LeaderTask } from '../leader-task.js';

/** The result for one target. */
export interface TargetGarbage {
  readonly target: string;
  /** Why nothing is deleted there. */
  readonly refusals: readonly string[];
  readonly deleted: number;
  /** Maximum bytes. */
  readonly bytes: number;
  /** `IMAGE: reason` for images that could not be deleted. */
  readonly failures: readonly string[];
}

export interface GarbageTaskOptions {
  readonly collect: (
    beforeDelete: (names: readonly string[]) => Promise<void>,
    signal: AbortSignal,
  ) => Promise<readonly TargetGarbage[]>;
  /**
   * Removes names of targets from those that admissions swap to without a lookup; resolves when this has taken effect.
   */
  readonly withdraw: (names: readonly string[], signal: AbortSignal) => Promise<void>;
  readonly log: (level: 'info' | 'warn', message: string) => void;
  readonly report: (results: readonly TargetGarbage[]) => void;
  readonly times?: Partial<GarbageTimes>;
}

/** Milliseconds. */
export interface GarbageTimes {
  /** From the start of leading to the first run. */
  readonly first: number;
  readonly interval: number;
  /**
   * From the time when a withdrawal takes effect to the first deletion, so that admissions that began earlier can end.
   */
  readonly afterWithdrawal: number;
}

const TIMES: GarbageTimes = { first: 3_600_000, interval: 86_400_000, afterWithdrawal: 5_000 };
const MAX_LINES = 20;

/** Once a day, deletes images that no cluster uses any more, while this replica leads. */
export class GarbageTask implements LeaderTask {
  readonly name = 'garbage collection';

  constructor(private readonly options: GarbageTaskOptions) {}

  async lead(signal: AbortSignal): Promise<void> {
    const { first, interval } = { ...TIMES, ...this.options.times };
    await sleep(first, signal, { ref: false });
    while (!signal.aborted) {
      await this.run(signal);
      await sleep(interval, signal, { ref: false });
    }
  }

  private async run(signal: AbortSignal): Promise<void> {
    const { collect, withdraw, log, report, times } = this.options;
    const { afterWithdrawal } = { ...TIMES, ...times };
    const beforeDelete = async (names: readonly string[]): Promise<void> => {
      await withdraw(names, signal);
      await sleep(afterWithdrawal, signal, { ref: false });
      signal.throwIfAborted();
    };
    try {
      const results = await collect(beforeDelete, signal);
      report(results);
      for (const { target, refusals, deleted, bytes, failures } of results) {
        for (const reason of refusals) log('warn', `gc: nothing is deleted from target ${target}: ${reason}`);
        for (const failure of failures.slice(0, MAX_LINES))
          log('warn', `gc: not deleted from target ${target}: ${failure}`);
        if (refusals.length === 0)
          log('info', `gc: deleted ${deleted} images from target ${target}, at most ${bytes} bytes`);
      }
    } catch (error) {
      if (!signal.aborted) log('warn', `gc: ${messageOf(error)}`);
    }
  }
}
