import { describe, expect, it } from 'vitest';
import { LEASE_OPTIONS, MAX_CLOCK_DIFFERENCE_MS } from '../../../extension-service/src/shared-queue/lease.js';

describe('the leases of jobs', () => {
  const { lockDuration, lockRenewTime, stalledInterval } = LEASE_OPTIONS;

  it('let other replicas take the jobs of a killed replica within 30 s', () => {
    expect(lockDuration + 2 * stalledInterval).toBeLessThanOrEqual(30_000);
  });

  it('outlast a difference of the clocks of two replicas, one ahead of the server and one behind it', () => {
    expect(lockDuration - lockRenewTime).toBeGreaterThan(2 * MAX_CLOCK_DIFFERENCE_MS);
    expect(lockDuration + 2 * stalledInterval + 2 * MAX_CLOCK_DIFFERENCE_MS).toBeLessThanOrEqual(30_000);
  });

  it('survive two renewals that fail', () => {
    expect(3 * lockRenewTime).toBeLessThan(lockDuration);
  });
});
