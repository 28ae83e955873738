import type { StoredLease } from './record.js';

/** The record in a Lease. */
export interface LeaseWrite {
  readonly holder: string;
  readonly durationSeconds: number;
  readonly acquireTime: Date;
  readonly renewTime: Date;
  readonly transitions: number;
}

/** The requests of leader election, for one Lease. Each rejects with a {@link LeaseError}, or with the signal's reason. */
export interface LeaseApi {
  /** `Lease NAMESPACE/NAME`, for people. */
  readonly title: string;
  /** @returns undefined when there is none */
  read(signal: AbortSignal): Promise<StoredLease | undefined>;
  create(write: LeaseWrite, signal: AbortSignal): Promise<StoredLease>;
  /** Changes the Lease if it still is of this version. */
  replace(resourceVersion: string, write: LeaseWrite, signal: AbortSignal): Promise<StoredLease>;
}

/**
 * `conflict`: somebody was faster (also when the Lease that was to be changed is gone). `refused`: nothing will come of
 * it until somebody changes rights or objects. `unreachable`: the API server is down, busy or slow.
 */
export type LeaseErrorKind = 'conflict' | 'refused' | 'unreachable';

export class LeaseError extends Error {
  override readonly name = 'LeaseError';
  constructor(
    readonly kind: LeaseErrorKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
