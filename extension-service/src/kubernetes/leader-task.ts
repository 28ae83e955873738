/** Work that one replica does for all: copying what the cluster uses, writing objects into it. */
export interface LeaderTask {
  /** For the log. */
  readonly name: string;
  /**
   * Works until `signal` aborts, which is when the Lease is lost or the service stops, and resolves when all its work
   * has ended. Retries after errors, with pauses; a rejection is a bug, is logged, and ends the task.
   */
  lead(signal: AbortSignal): Promise<void>;
}
