import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { CopyReport } from '../kubernetes/copy-report.js';
import type { MirrorResult, MirrorStatus } from '../mirror/status.js';

/** @param status the copy's current status in the queue */
export function copyReport(job: MirrorJob, result: MirrorResult, status: MirrorStatus | undefined): CopyReport {
  if (result.ok) {
    const { upToDate, digest, repaired, unfinished = [] } = result.outcome;
    const unsigned = unfinished.filter(({ kind }) => kind === 'signature').map(({ what }) => what);
    return {
      job,
      result: {
        ...{ ok: true, upToDate, digest },
        ...(repaired !== undefined && { repaired }),
        ...(unsigned.length > 0 && { unsigned }),
      },
    };
  }
  // A final failure also has a time: requests before it get this failure.
  const nextTry = status?.state === 'waiting' ? status.nextTry : undefined;
  return { job, result: { ok: false, failure: result.failure, ...(nextTry !== undefined && { nextTry }) } };
}
