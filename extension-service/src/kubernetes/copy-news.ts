import type { CopyFailure } from '../registry/copy-failure.js';
import type { SettledCopy } from './copy-report.js';
import type { ObjectReference } from './object-reference.js';

/** What became of a try to copy an image, for the people who look at the workloads that use it. */
export interface CopyNews {
  /** Fully normalised source reference. */
  readonly source: string;
  /** Name of the target. */
  readonly target: string;
  /** The image's reference in the target. */
  readonly reference: string;
  /** The topmost owners of the Pods that use it, or the Pods themselves where they have none. */
  readonly users: readonly ObjectReference[];
  readonly result:
    | SettledCopy
    /** `nextTry` in milliseconds since the epoch. */
    | {
        readonly ok: false;
        readonly failure: CopyFailure;
        readonly nextTry?: number;
        /** The source was there, and is gone since then: milliseconds since the epoch. */
        readonly goneSince?: number;
      };
}
