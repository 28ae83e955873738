import type { RegistryErrorKind } from './errors.js';

/** Why a copy failed, in classes that decide when it is retried. Plain data: it is sent by the background worker. */
export interface CopyFailure {
  readonly reason: FailureReason;
  /** For users: names the image or host and what to do. Never contains a secret. */
  readonly message: string;
  readonly retryable: boolean;
  /** Milliseconds that the registry asked us to wait. */
  readonly retryAfter?: number;
  /** host[:port] of the registry where it failed. */
  readonly host?: string;
  /** With the reason `gated`. */
  readonly gate?: GateVerdict;
  /** Number of the background worker that ended during the copy. */
  readonly endedWorker?: number;
}

/** Classes for registries, the target's gate, a stopped copy, and a fault of the service itself. */
export type FailureReason = RegistryErrorKind | 'gated' | 'stopped' | 'internal';

/** The verdict of the target's gate. */
export interface GateVerdict {
  /** The configuration key of the check, as in `minimumAge`. */
  readonly check: string;
  readonly verdict: 'held' | 'denied';
  /** The time of the next check, in milliseconds since the epoch; with `held`. */
  readonly until?: number;
}

/** Whether other pull secrets may help: registries answer "not found" to clients that may not read. */
export function mayBeCredentials({ reason }: CopyFailure): boolean {
  return reason === 'unauthorized' || reason === 'forbidden' || reason === 'absent';
}

/** Carries a failure through promises and across the thread's boundary. */
export class CopyFailedError extends Error {
  override readonly name = 'CopyFailedError';
  constructor(readonly failure: CopyFailure) {
    super(failure.message);
  }
}
