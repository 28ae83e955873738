import type { MirrorJob } from '../core/decide/mirror-job.js';
import { BoundedMap } from '../util/bounded-map.js';
import type { IsPodObserved } from './observed-pods.js';

const MAX_REMEMBERED = 10_000;
/** Milliseconds for which both answers are cached: a missing Pod may be created a moment later. */
const [SHOWN_MS, NOT_SHOWN_MS] = [5 * 60_000, 5_000];
/** Maximum parallel requests to the API server: each lists the Pods of a namespace, and any client can cause one. */
const MAX_QUESTIONS = 8;

/** Whether the API server has shown the Pod of a job; one request for all callers with the same claim. */
export class ObservedPodCache {
  private readonly known = new BoundedMap<string, { readonly shown: boolean; readonly until: number }>(MAX_REMEMBERED);
  private readonly running = new Map<string, Promise<boolean>>();

  constructor(
    private readonly ask: IsPodObserved,
    private readonly now: () => number,
  ) {}

  isShown(job: MirrorJob): Promise<boolean> {
    const key = JSON.stringify([job.source, job.pull]);
    const known = this.known.get(key);
    if (known !== undefined && known.until > this.now()) return Promise.resolve(known.shown);
    const running = this.running.get(key);
    if (running !== undefined) return running;
    if (this.running.size >= MAX_QUESTIONS) return Promise.resolve(false);
    const asked = this.ask(job)
      .catch(() => false)
      .then((shown) => {
        this.known.set(key, { shown, until: this.now() + (shown ? SHOWN_MS : NOT_SHOWN_MS) });
        return shown;
      })
      .finally(() => this.running.delete(key));
    this.running.set(key, asked);
    return asked;
  }
}
