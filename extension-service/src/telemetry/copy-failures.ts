import type { CopyFailure, FailureReason } from '../mirror/failure.js';
import type { MirrorJob } from '../mirror/job.js';
import type { Logger } from './log.js';
import { Occasionally } from './occasionally.js';

/** Failures that are the registry's: one line stands for all its images. */
const OF_REGISTRY: readonly FailureReason[] = ['unreachable', 'throttled', 'server'];

/** Logs copies that failed: one line a minute for a registry that is in trouble, else for each image. */
export class CopyFailureLines {
  private readonly lines: Occasionally;

  constructor(
    private readonly log: Pick<Logger, 'warn'>,
    now?: () => number,
  ) {
    this.lines = new Occasionally(60_000, now);
  }

  failed({ source, target, key }: MirrorJob, failure: CopyFailure, attempt: number): void {
    const { reason, message, retryable, host } = failure;
    const ofRegistry = host !== undefined && OF_REGISTRY.includes(reason);
    const repeated = this.lines.count(ofRegistry ? `${host} ${reason}` : `${key} ${reason}`);
    if (repeated === undefined) return;
    this.log.warn(
      {
        source,
        target,
        reason,
        attempt,
        retryable,
        ...(host !== undefined && { host }),
        // Since the line before.
        ...(repeated > 0 && { repeated }),
        // Nobody but a person can mend it: it has a name to look for.
        ...(reason === 'conflict' && { event: 'tag-conflict' }),
      },
      message,
    );
  }
}
