/** Work that one replica does for all: copying what the cluster uses, writing objects into it. */
export interface LeaderTask {
  /** For the log. */
  readonly name: string;
  /**
   * Works until `signal` aborts, which is when the Lease is lost or the service stops, and resolves once nothing of it
   * goes on. Mends itself after errors, with pauses in between; a rejection is a bug, is logged, and ends it.
   */
  lead(signal: AbortSignal): Promise<void>;
}
