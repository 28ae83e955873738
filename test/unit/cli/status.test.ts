import { describe, expect, it } from 'vitest';
import { statusText } from '../../../extension-service/src/cli/status.js';
import type { MirrorStatus } from '../../../extension-service/src/mirror/status.js';

const NOW = 1_000_000;
const row = (more: Partial<MirrorStatus>): MirrorStatus => ({
  source: 'docker.io/library/nginx:1.27',
  target: 'eu',
  reference: 'mirror.test/docker.io/library/nginx:1.27',
  state: 'queued',
  attempts: 0,
  since: NOW - 5_000,
  ...more,
});
const failure = { reason: 'server', message: 'GET https://docker.io/v2/: HTTP 500', retryable: true } as const;
const detail = (more: Partial<MirrorStatus>): string | undefined =>
  statusText({ mirrors: [row(more)] }, NOW, true)
    .split('\n')
    .at(-1)
    ?.replace(/^\w+ +docker\.io\/library\/nginx:1\.27 +eu +/, '');

describe('a row', () => {
  it.each<[string, Partial<MirrorStatus>, string]>([
    ['queued', {}, 'for 5 s'],
    ['running before its first byte', { state: 'running' }, 'for 5 s'],
    [
      'running',
      { state: 'running', progress: { transferred: 1024 * 1024, total: 10 * 1024 * 1024 } },
      '1.0 MiB of 10.0 MiB, for 5 s',
    ],
    [
      'waiting for its own next try',
      { state: 'waiting', attempts: 2, failure, nextTry: NOW + 20_000 },
      `server after 2 attempts, next attempt in 20 s: ${failure.message}`,
    ],
    [
      'waiting for its registry',
      { state: 'waiting', waitsFor: { host: 'docker.io', reason: 'throttled' }, failure, nextTry: NOW + 300_000 },
      `waiting for docker.io (throttled), next attempt in 5 min: ${failure.message}`,
    ],
    [
      'held by a gate',
      {
        state: 'waiting',
        failure: {
          reason: 'gated',
          message: 'docker.io/library/nginx:1.27: held by gate.minimumAge until 2026-03-04T12:00:00Z: too young',
          retryable: true,
          gate: { check: 'minimumAge', verdict: 'held', until: NOW + 1 },
        },
      },
      'held by gate.minimumAge until 2026-03-04T12:00:00Z: too young',
    ],
    [
      'denied by a gate',
      {
        state: 'failed',
        failure: {
          reason: 'gated',
          message: 'docker.io/library/nginx:1.27: denied by gate.webhook: CVE-2026-1',
          retryable: false,
          gate: { check: 'webhook', verdict: 'denied' },
        },
      },
      'denied by gate.webhook: CVE-2026-1',
    ],
    [
      'failed, its pause over',
      { state: 'failed', attempts: 1, failure, nextTry: NOW - 1 },
      `server after 1 try, retried on request now: ${failure.message}`,
    ],
    ['done', { state: 'done', digest: `sha256:${'a'.repeat(64)}` }, 'sha256:aaaaaaaaaaaa, 5 s ago'],
    [
      'that quotes a hostile registry',
      { state: 'failed', attempts: 1, failure: { ...failure, message: 'no\n\u001b[2Jfailed' } },
      `server after 1 try, retried on request now: no\ufffd\ufffd[2Jfailed`,
    ],
  ])('%s', (_what, more, expected) => expect(detail(more)).toEqual(expected));
});

describe('the help header', () => {
  it.each([
    [{ leading: true, holder: 'a' }, 'this replica is the leader and makes the copies'],
    [{ leading: false, holder: 'b' }, 'the leader is b; ask it for the state of copies'],
    [{ leading: false, holder: undefined }, 'no replica is the leader, so nothing is copied'],
  ])('names the replica that copies: %j', (leader, line) => {
    expect(statusText({ mirrors: [], leader }, NOW, false)).toBe(
      `0 running, 0 queued, 0 waiting, 0 failed, 0 done\n${line}`,
    );
  });

  it('counts finished copies and shows them only on request', () => {
    const mirrors = [row({}), row({ state: 'done', source: 'docker.io/library/redis:7' })];
    expect(statusText({ mirrors }, NOW, false)).toMatch(/^0 running, 1 queued, 0 waiting, 0 failed, 1 done\n/);
    expect(statusText({ mirrors }, NOW, false)).not.toContain('redis');
    expect(statusText({ mirrors }, NOW, true)).toContain('redis');
  });
});
