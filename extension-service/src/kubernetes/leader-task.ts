/** Work that one replica does for all: copying the cluster's images, writing objects to the cluster. */
export interface LeaderTask {
  /** For the log. */
  readonly name: string;
  /**
   * Works until `signal` aborts (the Lease is lost or the service stops), and resolves when all its work has ended.
   * Retries after errors, with a delay; a rejection is a bug, is logged, and ends the task.
   */
  lead(signal: AbortSignal): Promise<void>;
}
