import type { StoredLease } from './record.js';

/** The record in a Lease. */
export interface LeaseWrite {
  readonly holder: string;
  readonly durationSeconds: number;
  readonly acquireTime: Date;
  readonly renewTime: Date;
  readonly transitions: number;
}

/**
 * The requests of leader election, for one Lease. Each rejects with a {@link LeaseError}, or with the signal's reason.
 */
export interface LeaseApi {
  /** `Lease NAMESPACE/NAME`, for messages. */
  readonly title: string;
  /** @returns undefined if there is none */
  read(signal: AbortSignal): Promise<StoredLease | undefined>;
  create(write: LeaseWrite, signal: AbortSignal): Promise<StoredLease>;
  /** Changes the Lease if it still has this version. */
  replace(resourceVersion: string, write: LeaseWrite, signal: AbortSignal): Promise<StoredLease>;
}

/**
 * `conflict`: another replica was faster (or the Lease to be changed is gone). `refused`: will fail until rights or
 * objects change. `unreachable`: the API server is down, busy or slow.
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
