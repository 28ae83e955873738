import type { CopyFailure } from '../registry/copy-failure.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';

/** An image that is in its target. */
export interface SettledCopy {
  readonly ok: true;
  readonly upToDate: boolean;
  readonly digest: string;
  /** Parts that the target had lost, and that were copied again. */
  readonly repaired?: readonly string[];
  /** Signatures that could not be read for a temporary reason. */
  readonly unsigned?: readonly string[];
}

/** The result of an attempt to copy; `nextTry` in milliseconds since the epoch, if the queue retries by itself. */
export interface CopyReport {
  readonly job: MirrorJob;
  readonly result: SettledCopy | { readonly ok: false; readonly failure: CopyFailure; readonly nextTry?: number };
}
