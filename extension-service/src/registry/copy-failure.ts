import type { RegistryErrorKind } from './errors.js';

/** Why a copy failed, in the classes that decide when it is tried again. Plain data: it crosses from the background worker. */
export interface CopyFailure {
  readonly reason: FailureReason;
  /** For people: names the image or host and what to do. Never carries a secret. */
  readonly message: string;
  readonly retryable: boolean;
  /** Milliseconds that the registry asked us to wait. */
  readonly retryAfter?: number;
  /** host[:port] of the registry that it happened at. */
  readonly host?: string;
  /** With the reason `gated`. */
  readonly gate?: GateVerdict;
  /** Number of the background worker that ended during the copy. */
  readonly endedWorker?: number;
}

/** Those of registries, the target's gate, a copy that was stopped, and a fault of the service itself. */
export type FailureReason = RegistryErrorKind | 'gated' | 'stopped' | 'internal';

/** How the target's gate judged the image. */
export interface GateVerdict {
  /** The key of the configuration that says so, as in `minimumAge`. */
  readonly check: string;
  readonly verdict: 'held' | 'denied';
  /** When it is judged again, in milliseconds since the epoch; with `held`. */
  readonly until?: number;
}

/** Whether other pull secrets may help: registries say "not found" to clients that may not read. */
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
