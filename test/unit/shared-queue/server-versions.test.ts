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
