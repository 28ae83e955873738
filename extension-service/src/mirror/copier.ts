import type { ReferrerKind } from '../registry/referrer-kinds.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';

/** The outcome of a finished copy. */
export interface CopyOutcome {
  /** Digest of what the target's reference now points to. */
  readonly digest: string;
  /** True when the target had all of it already and nothing of the image was sent. */
  readonly upToDate: boolean;
  readonly platforms: readonly { readonly platform: string; readonly digest: string }[];
  readonly bytes: { readonly uploaded: number; readonly mounted: number; readonly skipped: number };
  readonly requests: number;
  /** Parts of the image that the target had lost, and has again. */
  readonly repaired?: readonly string[];
  /** Referrers that failed for a passing reason and are tried again; `signature`: policies that verify miss it. */
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

/** Does copies. Rejects with an error that `describeFailure` understands. */
export interface Copier {
  copy(job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void): Promise<CopyOutcome>;
}
