/** Milliseconds for which a replica's lease of a job lasts without a renewal. */
export const LOCK_MS = 16_000;
/**
 * BullMQ's options for leases, times in milliseconds. Other replicas take the jobs of a killed replica after at most
 * 24 s: its lease, and two checks.
 */
export const LEASE_OPTIONS = {
  lockDuration: LOCK_MS,
  lockRenewTime: 4_000,
  /** Between two checks for expired leases. */
  stalledInterval: 4_000,
  /** Maximum number of replicas that may crash during a job before it is given up. */
  maxStalledCount: 8,
} as const;

/** Maximum difference in milliseconds between clocks that decide about leases: a lease must outlast it. */
export const MAX_CLOCK_DIFFERENCE_MS = 3_000;
