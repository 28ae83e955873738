import { describe, expect, it } from 'vitest';
import { copyEvents } from '../../../extension-service/src/kubernetes/events/copy-event.js';
import { SPAM_FILTER, SpamFilter } from '../../../extension-service/src/kubernetes/events/spam-filter.js';
import type { CopyUpdate } from '../../../extension-service/src/kubernetes/copy-update.js';
import type { ObjectReference } from '../../../extension-service/src/kubernetes/object-reference.js';
import type { CopyFailure } from '../../../extension-service/src/registry/copy-failure.js';

const NOW = Date.UTC(2026, 0, 1, 12);
const SOURCE = 'docker.io/library/nginx:1.27';
const REFERENCE = 'harbor.example.com/mirror/docker.io/library/nginx:1.27';

function user(name: string, namespace = 'team-a'): ObjectReference {
  return { apiVersion: 'apps/v1', kind: 'Deployment', namespace, name, uid: `uid-${namespace}-${name}` };
}

function news(result: CopyUpdate['result'], more: Partial<CopyUpdate> = {}): CopyUpdate {
  return { source: SOURCE, target: 'default', reference: REFERENCE, users: [user('web')], result, ...more };
}

function failed(failure: Partial<CopyFailure> = {}, nextTry?: number): CopyUpdate['result'] {
  const whole: CopyFailure = { reason: 'unauthorized', message: 'no access', retryable: true, ...failure };
  return { ok: false, failure: whole, ...(nextTry !== undefined && { nextTry }) };
}

const done = { ok: true, upToDate: false, digest: 'sha256:abc' } as const;

describe('the Event about a copy', () => {
  it.each([
    {
      what: 'done',
      result: done,
      type: 'Normal',
      reason: 'Mirrored',
      message: `copied ${SOURCE} to ${REFERENCE} (sha256:abc)`,
    },
    {
      what: 'held by a gate',
      result: failed(
        {
          reason: 'gated',
          message: `${SOURCE}: held by gate.minimumAge until 2026-01-04T12:00:00Z: it is young`,
          gate: { check: 'minimumAge', verdict: 'held', until: NOW + 259_200_000 },
        },
        NOW + 3_600_000,
      ),
      type: 'Normal',
      reason: 'MirrorHeld',
      message: `${SOURCE} is not copied to ${REFERENCE}: held by gate.minimumAge until 2026-01-04T12:00:00Z: it is young`,
    },
    {
      what: 'denied by a gate',
      result: failed({
        reason: 'gated',
        retryable: false,
        message: `${SOURCE}: denied by gate.webhook: CVE-2026-1`,
        gate: { check: 'webhook', verdict: 'denied' },
      }),
      type: 'Warning',
      reason: 'MirrorDenied',
      message: `${SOURCE} is not copied to ${REFERENCE}: denied by gate.webhook: CVE-2026-1`,
    },
    {
      what: 'of a source that has vanished',
      result: { ...failed({ reason: 'absent', message: `${SOURCE}: r.example: HTTP 404` }), goneSince: NOW },
      type: 'Warning',
      reason: 'SourceVanished',
      message: `${SOURCE} has been gone from its registry since 2026-01-01T12:00:00Z; ${REFERENCE} is kept: r.example: HTTP 404`,
    },
    {
      what: 'repaired',
      result: { ...done, repaired: ['manifest sha256:1', 'content of sha256:2'] },
      type: 'Warning',
      reason: 'MirrorRepaired',
      message: `${REFERENCE} was damaged in its registry and has been repaired: manifest sha256:1, content of sha256:2`,
    },
    {
      what: 'there, without its signatures',
      result: { ...done, upToDate: true, unsigned: ['referrers of sha256:1'] },
      type: 'Warning',
      reason: 'SignaturesMissing',
      message: `${REFERENCE} was copied without some signatures of ${SOURCE}, which could not be read: referrers of sha256:1; the service retries`,
    },
    {
      what: 'failed, tried again',
      result: failed({ message: `${SOURCE}: no access` }, NOW + 39_500),
      type: 'Warning',
      reason: 'MirrorFailed',
      message: `copying ${SOURCE} to ${REFERENCE} failed: unauthorized: no access; next attempt in 40 s`,
    },
    {
      what: 'failed, tried again in minutes',
      result: failed({ reason: 'throttled', message: 'too many requests' }, NOW + 300_000),
      type: 'Warning',
      reason: 'MirrorFailed',
      message: `copying ${SOURCE} to ${REFERENCE} failed: throttled: too many requests; next attempt in 5 min`,
    },
    {
      what: 'failed for good, for a while',
      result: failed({ reason: 'absent', message: 'no such tag', retryable: false }, NOW + 60_000),
      type: 'Warning',
      reason: 'MirrorFailed',
      message: `copying ${SOURCE} to ${REFERENCE} failed: absent: no such tag; not retried until 2026-01-01T12:01:00Z`,
    },
    {
      what: 'failed for good',
      result: failed({ retryable: false }),
      type: 'Warning',
      reason: 'MirrorFailed',
      message: `copying ${SOURCE} to ${REFERENCE} failed: unauthorized: no access; not retried until the next request`,
    },
    {
      what: 'refused by a tag that may not move',
      result: failed({ reason: 'conflict', message: 'the tag is immutable', retryable: false }),
      type: 'Warning',
      reason: 'TagConflict',
      message: `copying ${SOURCE} to ${REFERENCE} failed: conflict: the tag is immutable; not retried until the next request`,
    },
  ])('that is $what', ({ result, type, reason, message }) => {
    const [event, ...others] = copyEvents(news(result), NOW);
    expect(others).toEqual([]);
    expect(event).toMatchObject({ type, reason, message, namespace: 'team-a', object: user('web') });
    expect(event?.name).toMatch(/^web\.[0-9a-f]{20}$/);
  });

  it.each([
    { what: 'there already', result: { ok: true, upToDate: true, digest: 'sha256:abc' } as const },
    { what: 'stopped, and another replica continues', result: failed({ reason: 'stopped' }) },
  ])('is not written when it is $what', ({ result }) => {
    expect(copyEvents(news(result), NOW)).toEqual([]);
  });

  it('reports both the copy and the missing signatures', () => {
    const reasons = copyEvents(news({ ...done, unsigned: ['tag sha256-1.sig'] }), NOW).map(({ reason }) => reason);
    expect(reasons).toEqual(['Mirrored', 'SignaturesMissing']);
  });

  it('is written for at most five workloads, always the same ones, from as many namespaces as possible', () => {
    const users = ['a', 'b', 'c'].flatMap((namespace) => Array.from({ length: 9 }, (_, i) => user(`w${i}`, namespace)));
    const told = (list: readonly ObjectReference[]): string[] =>
      copyEvents(news(done, { users: list }), NOW).map(({ object }) => `${object.namespace}/${object.name}`);
    expect(told(users)).toEqual(['a/w0', 'b/w0', 'c/w0', 'a/w1', 'a/w2']);
    expect(told([...users].reverse())).toEqual(told(users));
  });

  it('is reported whatever the next try is', () => {
    for (const nextTry of [NaN, Infinity, Number.MAX_VALUE, -1]) {
      for (const retryable of [true, false]) {
        expect(copyEvents(news(failed({ retryable }, nextTry)), NOW)[0]?.message).toMatch(
          /; (?:next attempt|not retried)/,
        );
      }
    }
  });

  it('has a stable and unique name for each object, reason and image', () => {
    const name = (item: CopyUpdate): string | undefined => copyEvents(item, NOW)[0]?.name;
    const base = name(news(failed()));
    expect(name(news(failed({ message: 'other words' }, NOW + 1)))).toBe(base);
    const others = [
      name(news(done)),
      name(news(failed(), { source: 'docker.io/library/nginx:1.28' })),
      name(news(failed(), { reference: 'other.example.com/nginx:1' })),
      name(news(failed(), { users: [{ ...user('web'), uid: 'another' }] })),
    ];
    expect(new Set([base, ...others]).size).toBe(5);
  });

  it('of an object outside of namespaces is in the namespace default', () => {
    expect(copyEvents(news(done, { users: [user('node', '')] }), NOW)[0]?.namespace).toBe('default');
  });

  it.each([
    ['w'.repeat(253), /^w{232}\.[0-9a-f]{20}$/],
    [`${'w'.repeat(230)}.-.-${'x'.repeat(19)}`, /^w{230}\.[0-9a-f]{20}$/],
    ['../../secrets', /^image-swapper\.[0-9a-f]{20}$/],
    ['', /^image-swapper\.[0-9a-f]{20}$/],
  ])('on an object named %j has a valid name', (name, expected) => {
    expect(copyEvents(news(done, { users: [user(name)] }), NOW)[0]?.name).toMatch(expected);
  });
});

describe('a message', () => {
  it.each([
    { what: 'what a registry says', failure: { message: `no\u0000 \u001b[31m\r\n\u202eaccess ${'ä'.repeat(5_000)}` } },
    { what: 'the image', source: `docker.io/${'𝄞'.repeat(2_000)}` },
    { what: 'the reference', reference: `harbor.example.com/${'x'.repeat(5_000)}` },
  ])('stays on its line and within the limit whatever is in $what', ({ failure, ...more }) => {
    const [event] = copyEvents(news(failed(failure, NOW + 40_000), more), NOW);
    const message = event?.message ?? '';
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(1_024);
    expect(Buffer.byteLength(message)).toBeGreaterThan(1_000);
    expect(message).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
    expect(message).toMatch(/^copying .*…; next attempt in 40 s$/u);
  });
});

describe('the spam filter', () => {
  it('allows 25 Events per object, and then one per five minutes', () => {
    const filter = new SpamFilter(SPAM_FILTER);
    const taken = (key: string, now: number): number =>
      Array.from({ length: 100 }, () => filter.take(key, now)).filter(Boolean).length;
    expect([taken('a', 0), taken('b', 0)]).toEqual([25, 25]);
    expect([taken('a', 299_999), taken('a', 300_000), taken('a', 900_000)]).toEqual([0, 1, 2]);
    expect(taken('a', 1e9)).toBe(25);
  });

  it('remembers a bounded number of keys', () => {
    const filter = new SpamFilter({ burst: 1, refill: 1_000, capacity: 2 });
    expect(['a', 'b', 'a', 'c', 'a', 'b'].map((key) => filter.take(key, 0))).toEqual([
      ...[true, true, false, true, false],
      // The filter forgot `b`, the least recently used key, to make room for `c`.
      true,
    ]);
  });
});
