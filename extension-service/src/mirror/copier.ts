import type { ReferrerKind } from '../registry/referrer-kinds.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';

/** The result of a finished copy. */
export interface CopyOutcome {
  /** The digest that the target's reference now points to. */
  readonly digest: string;
  /** True if the target already had everything and no part of the image was sent. */
  readonly upToDate: boolean;
  readonly platforms: readonly { readonly platform: string; readonly digest: string }[];
  readonly bytes: { readonly uploaded: number; readonly mounted: number; readonly skipped: number };
  readonly requests: number;
  /** Parts of the image that the target had lost, and that were copied again. */
  readonly repaired?: readonly string[];
  /**
   * Referrers that failed for a temporary reason and will be retried; `signature`: policies that verify signatures miss
   * it.
   */
  readonly unfinished?: readonly UnfinishedPart[];
}

export interface UnfinishedPart {
  readonly what: string;
  readonly kind: ReferrerKind;
}

/** Bytes of a running copy; the total grows as manifests are read. */
export interface CopyProgress {
  readonly transferred: number;
  readonly total: number;
}

/** Makes copies. Rejects with an error that `describeFailure` accepts. */
export interface Copier {
  copy(job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void): Promise<CopyOutcome>;
}
