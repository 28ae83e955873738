/** Requests of a push that registries count. */
export type PacedAction = 'put-manifest' | 'start-upload' | 'finish-upload';

/** Keeps requests under a registry's quotas. */
export interface RequestPacer {
  /** Resolves when the request may be sent; rejects with the abort's reason. */
  wait(action: PacedAction, signal: AbortSignal | undefined): Promise<void>;
  /** The registry still answered "too many requests", because others share the quota. */
  throttled(action: PacedAction): void;
}
