import { recentWriters } from '../../core/gc/usage-record.js';
import type { UsageRecord } from '../../core/gc/usage-record.js';
import { messageOf } from '../../util/message-of.js';
import { sleep } from '../../util/sleep.js';
import { WakeUps } from '../../util/wake-ups.js';
import type { LeaderTask } from '../leader-task.js';
import { UsedImages } from './used-images.js';
import type { LastUses } from './used-images.js';

export interface UsageRecorderOptions {
  /** Writes the uses to the targets. @returns the records by target */
  readonly write: (uses: LastUses, signal: AbortSignal) => Promise<ReadonlyMap<string, UsageRecord>>;
  /** Whether every kind of object has been listed: before that, some used images are unknown. */
  readonly isSynced: () => boolean;
  /** Called after each write with the number of installations that write each target's record. */
  readonly onWriters: (writers: ReadonlyMap<string, number>) => void;
  readonly log: (level: 'info' | 'warn', message: string) => void;
  readonly now?: () => number;
  readonly times?: Partial<RecorderTimes>;
}

export interface RecorderTimes {
  /** Milliseconds between two writes. */
  readonly interval: number;
  /** The same after the first use of an image that the record lists as unused. */
  readonly shortest: number;
  /** Milliseconds between two checks whether everything is listed. */
  readonly poll: number;
}

const TIMES: RecorderTimes = { interval: 3_600_000, shortest: 300_000, poll: 5_000 };
/** A recorded use that is older means that the image is unused. */
const FRESH_MS = 86_400_000;

/** Keeps the cluster's usage record in each target up to date, while this replica leads. */
export class UsageRecorder implements LeaderTask {
  readonly name = 'usage records';
  readonly used: UsedImages;
  private readonly news = new WakeUps();
  private readonly now: () => number;
  private recorded: ReadonlyMap<string, UsageRecord> = new Map();
  private hasChanges = false;

  constructor(private readonly options: UsageRecorderOptions) {
    this.now = options.now ?? Date.now;
    this.used = new UsedImages(this.now, (target, key) => {
      const last = this.recorded.get(target)?.uses.get(key) ?? 0;
      if (this.now() - last < FRESH_MS || this.hasChanges) return;
      this.hasChanges = true;
      this.news.wake();
    });
  }

  async lead(signal: AbortSignal): Promise<void> {
    const { interval, shortest, poll } = { ...TIMES, ...this.options.times };
    while (!signal.aborted) {
      if (!this.options.isSynced()) {
        await sleep(poll, signal, { ref: false });
        continue;
      }
      const isWritten = await this.write(signal);
      await sleep(shortest, signal, { ref: false });
      if (isWritten && !this.hasChanges) await this.news.wait(interval - shortest, signal);
    }
  }

  /** Another cluster with the same name is found here, also where `gc` runs elsewhere. */
  private reportWriters(): void {
    const now = this.now();
    const counts = new Map([...this.recorded].map(([target, record]) => [target, recentWriters(record, now)]));
    this.options.onWriters(counts);
    for (const [target, { cluster }] of this.recorded) {
      const count = counts.get(target) ?? 0;
      if (count <= 1) continue;
      const message = `target ${target}: ${count} installations write the record of cluster ${cluster}, so gc deletes nothing: give each cluster its own gc.cluster (after a new installation, this ends within a day)`;
      this.options.log('warn', message);
    }
  }

  private async write(signal: AbortSignal): Promise<boolean> {
    this.hasChanges = false;
    const report = this.used.report();
    try {
      this.recorded = await this.options.write(report, signal);
      this.used.reported(report);
      this.reportWriters();
      return true;
    } catch (error) {
      if (!signal.aborted)
        this.options.log('warn', `the uses of images are not recorded, so gc deletes nothing: ${messageOf(error)}`);
      return false;
    }
  }
}
