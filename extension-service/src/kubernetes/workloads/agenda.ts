import { mayBeCredentials } from '../../mirror/failure.js';
import type { MirrorJob } from '../../mirror/job.js';
import type { CopyReport } from '../copy-report.js';
import type { WantedImage, WantedImages } from './wanted-images.js';

export interface AgendaOptions {
  readonly images: WantedImages;
  readonly want: (jobs: readonly MirrorJob[]) => void;
  readonly now: () => number;
  /** Milliseconds after which an image is looked for in its target again. */
  readonly interval: number;
  /** Milliseconds after which a tag is compared with its source again. */
  readonly refresh: number;
}

/** What is known of an image's copy; times in milliseconds since the epoch. */
interface Progress {
  /** Present at the time. */
  seen?: number;
  /** Compared with the source, or copied. */
  compared?: number;
  /** Not asked for before. */
  notBefore?: number;
  /** Which of the image's pull contexts is tried. */
  pull: number;
}

/** Copies that the queue has been asked for and has not answered: enough for every host to be busy. */
const MOST_OUTSTANDING = 1_000;
/** Milliseconds between two looks at what is due. */
const TICK = 5_000;
/** A Pod with `imagePullPolicy: Always` asks for what the tag means now; a thousand of them at once ask once. */
const COMPARED_LATELY = 10_000;
const PAUSE_AFTER_FAILURE = 60_000;
/**
 * When each wanted image is asked for: at once when it is new, again each `interval`, compared with its source each
 * `refresh`, after failures when the queue says so. Asks for a bounded number at a time.
 */
export class CopyAgenda {
  private readonly progress = new Map<string, Progress>();
  private readonly due = new Map<string, { readonly force: boolean }>();
  private readonly outstanding = new Set<string>();
  private scheduled = false;
  private stopped = false;

  constructor(private readonly options: AgendaOptions) {}

  /** Images that were not used before. */
  add(keys: readonly string[]): void {
    for (const key of keys) this.ask(key, false);
  }

  /** Tags whose meaning now is wanted. */
  refresh(keys: readonly string[]): void {
    const since = this.options.now() - COMPARED_LATELY;
    for (const key of keys) if ((this.progress.get(key)?.compared ?? 0) < since) this.ask(key, true);
  }

  settled({ job, result }: CopyReport): void {
    const { images, now } = this.options;
    const { key } = job;
    this.outstanding.delete(key);
    const image = images.get(key);
    if (image === undefined) this.progress.delete(key);
    else if (result.ok) this.present(key, job.force || !result.upToDate);
    else if (mayBeCredentials(result.failure) && this.otherPull(key, image)) this.ask(key, job.force);
    else this.of(key).notBefore = result.nextTry ?? now() + PAUSE_AFTER_FAILURE;
    this.schedule();
  }

  /** Until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => this.tick(), TICK);
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
    for (const [key, { job }] of images.all()) {
      const { seen, compared, notBefore = 0 } = this.of(key);
      if (time < notBefore || this.outstanding.has(key)) continue;
      const moves = job.reference.digest === undefined;
      if (moves && compared !== undefined && time - compared >= refresh) this.ask(key, true);
      else if (seen === undefined || time - seen >= interval) this.ask(key, false);
    }
    for (const key of this.progress.keys()) if (images.get(key) === undefined) this.progress.delete(key);
  }

  private present(key: string, compared: boolean): void {
    const progress = this.of(key);
    const time = this.options.now();
    progress.seen = time;
    // What was there when we first looked is compared one interval later, like what we copied.
    if (compared) progress.compared = time;
    else progress.compared ??= time;
    delete progress.notBefore;
  }

  private otherPull(key: string, { pulls }: WantedImage): boolean {
    const progress = this.of(key);
    progress.pull += 1;
    if (progress.pull < pulls.length) return true;
    progress.pull = 0;
    return false;
  }

  private ask(key: string, force: boolean): void {
    if (this.stopped) return;
    this.due.set(key, { force: force || (this.due.get(key)?.force ?? false) });
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled || this.due.size === 0) return;
    this.scheduled = true;
    setImmediate(() => this.send());
  }

  private send(): void {
    this.scheduled = false;
    if (this.stopped) return;
    const jobs: MirrorJob[] = [];
    for (const [key, { force }] of this.due) {
      if (this.outstanding.size >= MOST_OUTSTANDING) break;
      // Asked for once more when its answer has come.
      if (this.outstanding.has(key)) continue;
      this.due.delete(key);
      const image = this.options.images.get(key);
      if (image === undefined) continue;
      this.outstanding.add(key);
      const pull = image.pulls[this.of(key).pull];
      jobs.push({ ...image.job, force, ...(pull !== undefined && { pull }) });
    }
    if (jobs.length > 0) this.options.want(jobs);
  }

  private of(key: string): Progress {
    let progress = this.progress.get(key);
    if (progress === undefined) {
      progress = { pull: 0 };
      this.progress.set(key, progress);
    }
    return progress;
  }
}
