import { CopyFailedError } from '../../../extension-service/src/registry/copy-failure.js';
import type { CopyFailure } from '../../../extension-service/src/registry/copy-failure.js';
import type { Copier, CopyOutcome, CopyProgress } from '../../../extension-service/src/mirror/copier.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';

export const OUTCOME: CopyOutcome = {
  digest: `sha256:${'a'.repeat(64)}`,
  upToDate: false,
  platforms: [],
  bytes: { uploaded: 1, mounted: 0, skipped: 0 },
  requests: 1,
};

/** A copy of `library/NAME` from one registry to another. */
export function job(
  name: string,
  more: Partial<MirrorJob> & { readonly from?: string; readonly to?: string } = {},
): MirrorJob {
  const { from = 'docker.io', to = 'mirror.test', ...rest } = more;
  const repository = `${from}/library/${name}`;
  const text = `${to}/${repository}:latest`;
  return {
    key: text,
    source: `${repository}:latest`,
    target: 'default',
    reference: { registry: to, repository, tag: 'latest', shownAs: 'latest', published: 'latest', text },
    platforms: 'all',
    force: false,
    ...rest,
  };
}

export function failure(
  reason: CopyFailure['reason'],
  retryable: boolean,
  more: Partial<CopyFailure> = {},
): CopyFailedError {
  return new CopyFailedError({ reason, message: `x: ${reason}`, retryable, ...more });
}

export interface StartedCopy {
  readonly job: MirrorJob;
  readonly signal: AbortSignal;
  end(): void;
  fail(error: Error): void;
  progress(progress: CopyProgress): void;
}

/** A copier whose copies end only when the test ends them. */
export class HeldCopier implements Copier {
  readonly started: StartedCopy[] = [];

  copy(copied: MirrorJob, signal: AbortSignal, progress: (progress: CopyProgress) => void): Promise<CopyOutcome> {
    return new Promise((resolve, reject) => {
      this.started.push({ job: copied, end: () => resolve(OUTCOME), fail: reject, signal, progress });
    });
  }

  /** Image names of the started copies, in order. */
  get names(): string[] {
    return this.started.map(({ job: { source } }) => /library\/(.*):/.exec(source)?.[1] ?? source);
  }
}

/** A clock that advances only when the test advances it. */
export class FakeClock {
  time = 1_000_000;
  private timers: { readonly at: number; readonly callback: () => void }[] = [];

  readonly now = (): number => this.time;
  readonly after = (milliseconds: number, callback: () => void): (() => void) => {
    const timer = { at: this.time + milliseconds, callback };
    this.timers.push(timer);
    return () => (this.timers = this.timers.filter((other) => other !== timer));
  };

  async pass(milliseconds: number): Promise<void> {
    // Earlier actions take effect before the clock advances.
    await settledPromises();
    const end = this.time + milliseconds;
    for (;;) {
      const [next] = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.timers = this.timers.filter((timer) => timer !== next);
      this.time = Math.max(this.time, next.at);
      next.callback();
      await settledPromises();
    }
    this.time = end;
    await settledPromises();
  }

  /** Time of the next timer; undefined without timers. */
  get next(): number | undefined {
    return this.timers.length === 0 ? undefined : Math.min(...this.timers.map(({ at }) => at));
  }
}

export function settledPromises(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
