import type { CopyFailure } from '../mirror/failure.js';
import type { MirrorJob } from '../mirror/job.js';
import type { MirrorResult, MirrorStatus } from '../mirror/status.js';

/** What a try to copy came to; `nextTry` in milliseconds since the epoch, if the queue tries again by itself. */
export interface CopyReport {
  readonly job: MirrorJob;
  readonly result:
    | { readonly ok: true; readonly upToDate: boolean; readonly digest: string }
    | { readonly ok: false; readonly failure: CopyFailure; readonly nextTry?: number };
}

/** @param status of the copy in the queue, now */
export function copyReport(job: MirrorJob, result: MirrorResult, status: MirrorStatus | undefined): CopyReport {
  if (result.ok) {
    const { upToDate, digest } = result.outcome;
    return { job, result: { ok: true, upToDate, digest } };
  }
  // What failed for good has a time too: until then whoever asks hears of this failure.
  const nextTry = status?.state === 'waiting' ? status.nextTry : undefined;
  return { job, result: { ok: false, failure: result.failure, ...(nextTry !== undefined && { nextTry }) } };
}
