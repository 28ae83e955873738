import type { CopyFailure, FailureReason } from '../registry/copy-failure.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { Logger } from '../telemetry/log.js';
import { LogRateLimiter } from '../util/log-rate-limiter.js';

/** Failures of the registry, or of the credentials for it: one line covers all its images. */
const OF_REGISTRY: readonly FailureReason[] = [
  'unreachable',
  'throttled',
  'server',
  'unauthorized',
  'forbidden',
  'quota',
];

const MINUTE_MS = 60_000;
/** Maximum lines per minute; one more counts the rest. */
const MAX_LINES = 30;

/**
 * Logs failed copies: one line per minute for a registry in trouble, otherwise one for each image, while there are few.
 * Failures above the limit of a minute are counted by class, in one line at its end.
 */
export class CopyFailureLines {
  private readonly lines: LogRateLimiter;
  private minute: { lines: number; readonly more: Map<string, number> } | undefined;

  constructor(
    private readonly log: Pick<Logger, 'warn'>,
    now?: () => number,
  ) {
    this.lines = new LogRateLimiter(MINUTE_MS, now);
  }

  failed({ source, target, key }: MirrorJob, failure: CopyFailure, attempt: number): void {
    const { reason, message, retryable, host } = failure;
    const ofRegistry = host !== undefined && OF_REGISTRY.includes(reason);
    const repeated = this.lines.count(ofRegistry ? `${host} ${reason}` : `${key} ${reason}`);
    if (repeated === undefined) return;
    const minute = (this.minute ??= this.begin());
    if (minute.lines >= MAX_LINES) {
      minute.more.set(reason, (minute.more.get(reason) ?? 0) + 1 + repeated);
      return;
    }
    minute.lines += 1;
    this.log.warn(
      {
        source,
        target,
        reason,
        attempt,
        retryable,
        ...(host !== undefined && { host }),
        // Since the previous line.
        ...(repeated > 0 && { repeated }),
        // Only a person can fix it, so the line has an event name to search for.
        ...(reason === 'conflict' && { event: 'tag-conflict' }),
      },
      message,
    );
  }

  private begin(): NonNullable<typeof this.minute> {
    const more = new Map<string, number>();
    setTimeout(() => {
      this.minute = undefined;
      if (more.size === 0) return;
      const total = [...more.values()].reduce((sum, count) => sum + count);
      this.log.warn({ failures: Object.fromEntries(more) }, `${total} more copies failed in the last minute`);
    }, MINUTE_MS).unref();
    return { lines: 0, more };
  }
}
