import type { Platforms } from '../core/config/model.js';
import type { TargetReference } from '../core/naming/name.js';

/** One image to be mirrored: plain data, since it crosses to the copy thread. */
export interface MirrorJob {
  /** The same for every request that asks for the same copy. */
  readonly key: string;
  /** Fully normalised source reference. */
  readonly source: string;
  /** Name of the target. */
  readonly target: string;
  readonly reference: TargetReference;
  readonly platforms: Platforms;
  /** Copy although the target has the reference already. */
  readonly force: boolean;
  /** Whose pull secrets may read the source. */
  readonly pull?: PullContext;
}

export interface PullContext {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly secretNames: readonly string[];
}

/** What a finished copy did. */
export interface CopyOutcome {
  /** Digest of what the target's reference now points to. */
  readonly digest: string;
  /** True when the target had it already and nothing was sent. */
  readonly upToDate: boolean;
  readonly platforms: readonly { readonly platform: string; readonly digest: string }[];
  readonly bytes: { readonly uploaded: number; readonly mounted: number; readonly skipped: number };
  readonly requests: number;
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

export function mirrorJobKey(reference: TargetReference, platforms: Platforms): string {
  return `${reference.text} ${platforms === 'all' ? 'all' : [...platforms].sort().join(',')}`;
}
