import { mayBeCredentials } from '../../registry/copy-failure.js';
import type { MirrorJob, PullContext } from '../../core/decide/mirror-job.js';
import type { CopyReport } from '../copy-report.js';
import { sourceHost } from '../../core/decide/mirror-job.js';
import { DueKeys, LISTED, NEW_RANK } from './due-keys.js';
import { Outstanding } from './outstanding.js';
import type { Rank } from './due-keys.js';
import type { WantedImage, WantedImages } from './wanted-images.js';

export interface AgendaOptions {
  readonly images: WantedImages;
  readonly want: (jobs: readonly MirrorJob[]) => void;
  readonly now: () => number;
  /** Milliseconds after which an image is looked up in its target again. */
  readonly interval: number;
  /** Milliseconds after which a tag is compared with its source again. */
  readonly refresh: number;
  /** Milliseconds between two complete checks of an image. */
  readonly audit: number;
  /** From 0 to below 1: spreads audits. @default Math.random */
  readonly random?: () => number;
  /** A tag in the target has moved at its source, and was copied again. */
  readonly onTagMoved?: (target: string) => void;
}

/** The known state of an image's copy; times in milliseconds since the epoch. */
interface Progress {
  /** Present at the last check. */
  seen?: number;
  /** Time of the last comparison with the source, or copy. */
  compared?: number;
  /** Earliest time of the next request. */
  notBefore?: number;
  /** Index of the image's pull context to try. */
  pull: number;
  /** Pull contexts that were rejected since the last pause. */
  refused: number;
  /** Failures in a row. */
  failures: number;
  /** This replica copied the target's image while it was the leader. */
  made?: true;
  /** Time of the next audit. */
  audit?: number;
}

/** Milliseconds between two checks for due images. */
const TICK_MS = 5_000;
/**
 * A Pod with `imagePullPolicy: Always` requests the tag's current image; a thousand of them at once cause one request.
 */
const RECENT_COMPARISON_MS = 10_000;
/** Milliseconds, doubled with each failure in a row, up to the interval of regular checks. */
const PAUSE_AFTER_FAILURE_MS = 60_000;
/** Maximum pull contexts to try before a pause: each costs a request at the source. */
const MAX_PULLS = 5;
/** Maximum parallel audits: each checks every part of an image, and none is urgent. */
const MAX_AUDITS = 2;
/** Maximum milliseconds before a failed audit is repeated. */
const AUDIT_RETRY_MS = 3_600_000;

/**
 * Schedules requests for each wanted image: at once if it is new, again after each `interval`, compared with its source
 * after each `refresh`, and after failures when the queue says so. Limits the number of requests at a time; the newest
 * images come first.
 */
export class CopyAgenda {
  private readonly progress = new Map<string, Progress>();
  private readonly due = new DueKeys();
  private readonly outstanding = new Outstanding();
  private readonly audits = new Set<string>();
  /** Another request is needed after the answer to the outstanding one. */
  private readonly again = new Map<string, { readonly force: boolean; readonly rank: Rank }>();
  private scheduled = false;
  private stopped = false;

  constructor(private readonly options: AgendaOptions) {}

  /** Images that were not used before. */
  add(keys: readonly string[], rank: Rank): void {
    for (const key of keys) this.ask(key, false, rank);
  }

  /** Images that have got another user. */
  prefer(keys: readonly string[], rank: Rank): void {
    for (const key of keys) this.due.prefer(key, rank);
  }

  /** Failed images whose new users may pull them with other credentials. */
  retry(keys: readonly string[], rank: Rank): void {
    for (const key of keys) {
      const progress = this.progress.get(key);
      if (progress === undefined || progress.failures === 0) continue;
      delete progress.notBefore;
      progress.refused = 0;
      this.ask(key, false, rank);
    }
  }

  /** Tags whose current image is requested. */
  refresh(keys: readonly string[]): void {
    const since = this.options.now() - RECENT_COMPARISON_MS;
    for (const key of keys) if ((this.progress.get(key)?.compared ?? 0) < since) this.ask(key, true, NEW_RANK);
  }

  /** The queue's answer to a request. */
  settled(report: CopyReport): void {
    const { job, result } = report;
    this.audited(job.key, result.ok);
    this.answered(job.key);
    if (result.ok) this.note(report);
    else if (this.options.images.get(job.key) === undefined) this.progress.delete(job.key);
    else if (!mayBeCredentials(result.failure)) this.pause(job.key, result.nextTry);
    else if (this.otherPullKeys(job.key)) this.ask(job.key, job.force, NEW_RANK);
    else this.pause(job.key, undefined);
    this.schedule();
  }

  /**
   * An attempt to copy has ended, regardless of who requested it; the agenda's own requests are also answered by
   * `settled`.
   */
  copied(report: CopyReport): void {
    const { job, result } = report;
    const wasSeen = this.progress.get(job.key)?.seen !== undefined;
    const isNew = result.ok && !result.upToDate && result.repaired === undefined;
    if (wasSeen && job.force && isNew) this.options.onTagMoved?.(job.target);
    this.note(report);
  }

  private note({ job: { key, force }, result }: CopyReport): void {
    if (this.options.images.get(key) === undefined) return;
    if (result.ok) {
      if (!result.upToDate && result.repaired === undefined) this.of(key).made = true;
      this.present(key, force || !result.upToDate);
    } else if (!this.outstanding.has(key) && result.nextTry !== undefined) {
      const progress = this.of(key);
      progress.notBefore = Math.max(progress.notBefore ?? 0, result.nextTry);
    }
  }

  /** Until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => this.tick(), TICK_MS);
      const stop = (): void => {
        clearInterval(timer);
        this.stopped = true;
        resolve();
      };
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
    });
  }

  private tick(): void {
    const { images, now, interval, refresh } = this.options;
    const time = now();
    for (const [key, image] of images.all()) {
      const { seen, compared, notBefore = 0 } = this.of(key);
      if (time < notBefore || this.outstanding.has(key)) continue;
      const moves = image.job.reference.digest === undefined && this.mayOverwrite(image);
      if (moves && compared !== undefined && time - compared >= refresh) this.ask(key, true, LISTED.pod);
      else if (seen === undefined || time - seen >= interval) this.ask(key, false, LISTED.pod);
      else this.audit(key, image, time);
    }
    for (const key of this.progress.keys()) if (images.get(key) === undefined) this.progress.delete(key);
  }

  /** An image that may belong to someone else, and not be a mirror, is not overwritten. */
  private audit(key: string, image: WantedImage, time: number): void {
    const progress = this.of(key);
    const { audit, random = Math.random } = this.options;
    // The first audit is at a random time in the interval, so that a new leader does not check everything at once.
    progress.audit ??= time + random() * audit;
    if (time < progress.audit || this.audits.size >= MAX_AUDITS || !this.mayOverwrite(image)) return;
    this.audits.add(key);
    this.ask(key, false, LISTED.template, true);
  }

  private audited(key: string, ok: boolean): void {
    if (!this.audits.delete(key)) return;
    const { audit, now, random = Math.random } = this.options;
    const pause = ok ? audit * (0.9 + 0.2 * random()) : Math.min(audit, AUDIT_RETRY_MS);
    this.of(key).audit = now() + pause;
  }

  private present(key: string, compared: boolean): void {
    const progress = this.of(key);
    const time = this.options.now();
    progress.seen = time;
    // Images that existed at the first check are compared one interval later, like copied ones.
    if (compared) progress.compared = time;
    else progress.compared ??= time;
    progress.refused = 0;
    progress.failures = 0;
    delete progress.notBefore;
  }

  /**
   * Not before the queue itself retries, and less and less often, so that a permanent failure does not fill the log.
   */
  private pause(key: string, nextTry: number | undefined): void {
    const { now, interval } = this.options;
    const progress = this.of(key);
    const pause = Math.min(PAUSE_AFTER_FAILURE_MS * 2 ** Math.min(progress.failures, 20), interval);
    progress.failures += 1;
    progress.refused = 0;
    progress.notBefore = nextTry ?? now() + Math.max(pause, PAUSE_AFTER_FAILURE_MS);
  }

  /** Continues with the next pull context; false if there is none, or enough were tried for now. */
  private otherPullKeys(key: string): boolean {
    const progress = this.of(key);
    const length = this.options.images.get(key)?.pulls().length ?? 0;
    progress.pull = (progress.pull + 1) % Math.max(length, 1);
    progress.refused += 1;
    return progress.refused < Math.min(length, MAX_PULLS);
  }

  /**
   * An image that nothing in the cluster marks as a mirror, and that this service did not copy, may belong to someone
   * else.
   */
  private mayOverwrite({ job, certain }: WantedImage): boolean {
    return certain || this.progress.get(job.key)?.made === true;
  }

  private ask(key: string, force: boolean, rank: Rank, audit = false): void {
    const image = this.options.images.get(key);
    if (this.stopped || image === undefined) return;
    if (this.outstanding.has(key)) {
      this.again.set(key, { force: force || (this.again.get(key)?.force ?? false), rank });
      return;
    }
    const share = this.pullOf(key, image)?.namespace ?? '';
    this.due.add({ key, host: sourceHost(image.job), share, rank, force, audit });
    this.schedule();
  }

  private answered(key: string): void {
    if (!this.outstanding.delete(key)) return;
    const again = this.again.get(key);
    this.again.delete(key);
    if (again !== undefined) this.ask(key, again.force, again.rank);
  }

  private schedule(): void {
    if (this.scheduled || this.due.size === 0) return;
    this.scheduled = true;
    setImmediate(() => this.send());
  }

  private send(): void {
    this.scheduled = false;
    if (this.stopped) return;
    const { images, want } = this.options;
    const jobs: MirrorJob[] = [];
    for (;;) {
      const due = this.due.take((next) => this.outstanding.hasRoom(next));
      if (due === undefined) break;
      const { key } = due;
      const image = images.get(key);
      if (image === undefined) {
        this.audits.delete(key);
        continue;
      }
      this.outstanding.add(key, due);
      const pull = this.pullOf(key, image);
      const force = due.force && this.mayOverwrite(image);
      const { presenceCheck, ...job } = image.job;
      jobs.push({
        ...job,
        // With `imageCopyPolicy: force`, new Pods cause a complete check, but intervals do not.
        ...(force && presenceCheck !== undefined && { presenceCheck }),
        ...(due.audit === true && { presenceCheck: 'tree' as const, allReferrers: true as const }),
        force,
        ...(pull !== undefined && { pull }),
      });
    }
    if (jobs.length > 0) want(jobs);
  }

  /** The credentials of the user whose turn it is. */
  private pullOf(key: string, image: WantedImage): PullContext | undefined {
    const pulls = image.pulls();
    return pulls[this.of(key).pull] ?? pulls[0];
  }

  private of(key: string): Progress {
    let progress = this.progress.get(key);
    if (progress === undefined) {
      progress = { pull: 0, refused: 0, failures: 0 };
      this.progress.set(key, progress);
    }
    return progress;
  }
}
