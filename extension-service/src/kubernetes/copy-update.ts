import type { CopyFailure } from '../registry/copy-failure.js';
import type { SettledCopy } from './copy-report.js';
import type { ObjectReference } from './object-reference.js';

/** The result of an attempt to copy an image, shown on the workloads that use it. */
export interface CopyUpdate {
  /** Fully normalized source reference. */
  readonly source: string;
  /** Name of the target. */
  readonly target: string;
  /** The image's reference in the target. */
  readonly reference: string;
  /** The topmost owners of the Pods that use it, or the Pods themselves if they have none. */
  readonly users: readonly ObjectReference[];
  readonly result:
    | SettledCopy
    /** `nextTry` in milliseconds since the epoch. */
    | {
        readonly ok: false;
        readonly failure: CopyFailure;
        readonly nextTry?: number;
        /** The source existed earlier but has been missing since this time, in milliseconds since the epoch. */
        readonly goneSince?: number;
      };
}
