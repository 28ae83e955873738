import type { CopyFailure } from '../registry/copy-failure.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';

/** What a try to copy came to; `nextTry` in milliseconds since the epoch, if the queue tries again by itself. */
export interface CopyReport {
  readonly job: MirrorJob;
  readonly result:
    | { readonly ok: true; readonly upToDate: boolean; readonly digest: string }
    | { readonly ok: false; readonly failure: CopyFailure; readonly nextTry?: number };
}
