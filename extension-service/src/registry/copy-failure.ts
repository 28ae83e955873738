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
  /** Number of the background worker that ended during the copy. */
  readonly endedWorker?: number;
}

/** Those of registries, a copy that was stopped, and a fault of the service itself. */
export type FailureReason = RegistryErrorKind | 'stopped' | 'internal';

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
