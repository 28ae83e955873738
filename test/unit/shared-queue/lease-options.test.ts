import { describe, expect, it } from 'vitest';
import { LEASE_OPTIONS } from '../../../extension-service/src/shared-queue/session.js';

describe('the leases of jobs', () => {
  const { lockDuration, lockRenewTime, stalledInterval } = LEASE_OPTIONS;

  it('let other replicas take the jobs of a killed replica within 30 s', () => {
    expect(lockDuration + 2 * stalledInterval).toBeLessThanOrEqual(30_000);
  });

  it('survive two renewals that fail', () => {
    expect(3 * lockRenewTime).toBeLessThan(lockDuration);
  });
});
