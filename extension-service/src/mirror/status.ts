import type { CopyFailure, FailureReason } from '../registry/copy-failure.js';
import type { CopyOutcome, CopyProgress } from './copier.js';

export type MirrorState = 'queued' | 'running' | 'waiting' | 'failed' | 'done';

/** The result of one attempt of a copy. */
export type MirrorResult =
  { readonly ok: true; readonly outcome: CopyOutcome } | { readonly ok: false; readonly failure: CopyFailure };

/** A row of `GET /v1/mirrors`. Times are milliseconds since the epoch. */
export interface MirrorStatus {
  readonly source: string;
  readonly target: string;
  readonly reference: string;
  readonly state: MirrorState;
  readonly attempts: number;
  readonly since: number;
  readonly progress?: CopyProgress;
  readonly failure?: CopyFailure;
  readonly nextTry?: number;
  /** The registry that all its copies wait for, and the reason. */
  readonly waitsFor?: { readonly host: string; readonly reason: FailureReason };
  readonly digest?: string;
  /** Parts of a finished copy that failed for a temporary reason and will be retried. */
  readonly unfinished?: readonly string[];
}

/** Times in milliseconds since the epoch, as in a row of `GET /v1/mirrors`. */
export type CopyStatus = Omit<MirrorStatus, 'source' | 'target' | 'reference'>;

/** The public part of a copy's state, without the copy's name. */
export function copyStatus(status: CopyStatus): CopyStatus {
  const { state, attempts, since, progress, failure, nextTry, waitsFor, digest, unfinished } = status;
  return {
    state,
    attempts,
    since,
    ...(progress !== undefined && { progress }),
    ...(failure !== undefined && { failure }),
    ...(nextTry !== undefined && { nextTry }),
    ...(waitsFor !== undefined && { waitsFor }),
    ...(digest !== undefined && { digest }),
    ...(unfinished !== undefined && { unfinished }),
  };
}
