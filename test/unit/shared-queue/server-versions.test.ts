import { describe, expect, it } from 'vitest';
import { findingsOf as ofPostgres } from '../../../extension-service/src/shared-queue/postgres/server-checks.js';
import { findingsOf as ofRedis, infoOf } from '../../../extension-service/src/shared-queue/redis/server-info.js';

describe('the version of a queue server', () => {
  it.each([
    ['redis_version:5.0.14', false, 'is Redis 5.0.14; version 6.2 or newer is required'],
    ['redis_version:6.0.20', false, 'is Redis 6.0.20; version 6.2 or newer is required'],
    ['redis_version:6.2.0', true, 'Redis 6.2.0'],
    ['redis_version:10.0.1', true, 'Redis 10.0.1'],
    ['redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0', true, 'Valkey 8.1.0'],
    ['redis_version:ours', true, 'Redis ours'],
  ])('of Redis is read from INFO: %j', (text, ok, message) => {
    expect(ofRedis(infoOf(text))[0]).toEqual({ check: 'version', ok, message });
  });

  it.each([
    ['13.22', '130022', false, 'is version 13.22; version 14 or newer is required'],
    ['14.0', '140000', true, 'PostgreSQL 14.0'],
    ['18.1 (Debian 18.1-1)', '180001', true, 'PostgreSQL 18.1 (Debian 18.1-1)'],
  ])('of PostgreSQL is read from its settings: %s', async (version, number, ok, message) => {
    const rows = [{ version, number, replica: false, readonly: 'off' }];
    const client = { query: () => Promise.resolve({ rows }) } as unknown as Parameters<typeof ofPostgres>[0];
    expect((await ofPostgres(client))[0]).toEqual({ check: 'version', ok, message });
  });
});

describe('the clock of PostgreSQL', () => {
  const HOUR = 3_600_000;
  const NOW = Date.parse('2026-03-01T12:00:00Z');
  const wrong = (difference: string): string =>
    `has a clock that is ${difference} the clock here; leases allow 3s: correct the clock that is wrong`;

  it.each([
    ['is that of this replica', 0, 0, undefined],
    ['differs by less than a lease allows', 2_900, 0, undefined],
    ['is read by a server that answers late', 20_000, 20_000, undefined],
    ['is read at the begin of a slow answer', 0, 20_000, undefined],
    ['is an hour ahead', HOUR, 0, wrong('1h ahead of')],
    ['is an hour behind', -HOUR, 0, wrong('1h behind')],
    ['is ahead by more than a lease allows', 3_600, 0, wrong('4s ahead of')],
    ['is behind by more than a lease allows', -3_600, 20_000, wrong('4s behind')],
  ])('%s', async (_, difference, took, fault) => {
    const rows = [{ version: '15.1', number: '150001', replica: false, readonly: 'off', clock: NOW + difference }];
    const client = { query: () => Promise.resolve({ rows }) } as unknown as Parameters<typeof ofPostgres>[0];
    const times = [NOW, NOW + took];
    const findings = await ofPostgres(client, () => times.shift() ?? NaN);
    expect(findings.find(({ check }) => check === 'clock')).toEqual({
      check: 'clock',
      ok: fault === undefined,
      message: fault ?? 'differs by at most 3s from the clock here',
    });
  });
});
