import { describe, expect, it } from 'vitest';
import { assessLease, observe } from '../../../extension-service/src/kubernetes/lease/assess-lease.js';
import type { Observation } from '../../../extension-service/src/kubernetes/lease/assess-lease.js';
import { leaseIdentity } from '../../../extension-service/src/kubernetes/lease/identity.js';
import { readRecord } from '../../../extension-service/src/kubernetes/lease/record.js';

const ONE = '11111111-1111-4111-8111-111111111111';
const TWO = '22222222-2222-4222-8222-222222222222';
const me = { identity: `swapper-a_${ONE}`, podName: 'swapper-a', duration: 8_000 };
const NOTHING: Observation = { lease: undefined, gone: false, unchangedSince: 0 };

function held(spec: Readonly<Record<string, unknown>>, more: Partial<Observation> = {}): Observation {
  const record = readRecord({ leaseDurationSeconds: 8, renewTime: '2026-01-01T00:00:00.000000Z', ...spec });
  return { lease: { record, resourceVersion: '7' }, gone: false, unchangedSince: 100_000, ...more };
}

describe('the next action on the Lease', () => {
  it.each([
    { what: 'there is none', seen: NOTHING, after: 0, does: 'create' },
    { what: 'it is released', seen: held({ holderIdentity: '' }), after: 0, does: 'take' },
    { what: 'it names no holder', seen: held({}), after: 0, does: 'take' },
    { what: 'it is ours', seen: held({ holderIdentity: me.identity }), after: 0, does: 'renew' },
    { what: 'it is ours and old', seen: held({ holderIdentity: me.identity }), after: 90_000, does: 'renew' },
    { what: "it is another's and new", seen: held({ holderIdentity: `swapper-b_${TWO}` }), after: 0, does: 8_000 },
    { what: "it is another's", seen: held({ holderIdentity: `swapper-b_${TWO}` }), after: 7_999, does: 1 },
    { what: "it is another's and old", seen: held({ holderIdentity: `swapper-b_${TWO}` }), after: 8_000, does: 'take' },
    {
      what: "it is our Pod's last container's",
      seen: held({ holderIdentity: `swapper-a_${TWO}` }),
      after: 0,
      does: 'take',
    },
    {
      what: 'a Pod of a longer name has it',
      seen: held({ holderIdentity: `swapper-a-b_${TWO}` }),
      after: 0,
      does: 8_000,
    },
    { what: 'our Pod has it without uuid', seen: held({ holderIdentity: 'swapper-a_x' }), after: 0, does: 8_000 },
    { what: 'its holder is our Pod’s name', seen: held({ holderIdentity: 'swapper-a' }), after: 0, does: 8_000 },
    {
      what: 'the record asks for 15 s',
      seen: held({ holderIdentity: 'other', leaseDurationSeconds: 15 }),
      after: 14_000,
      does: 1_000,
    },
    {
      what: 'the record asks for a second, which a holder of our kind does not renew by',
      seen: held({ holderIdentity: 'other', leaseDurationSeconds: 1 }),
      after: 6_000,
      does: 2_000,
    },
    {
      what: 'the record asks for a month',
      seen: held({ holderIdentity: 'kilroy', leaseDurationSeconds: 2_592_000 }),
      after: 59_000,
      does: 1_000,
    },
    {
      what: 'the record has no duration',
      seen: held({ holderIdentity: 'kilroy', leaseDurationSeconds: undefined }),
      after: 8_000,
      does: 'take',
    },
    {
      what: 'somebody deleted it, and its holder may still work',
      seen: held({ holderIdentity: 'other' }, { gone: true }),
      after: 3_000,
      does: 5_000,
    },
    {
      what: 'somebody deleted it long ago',
      seen: held({ holderIdentity: 'other' }, { gone: true }),
      after: 8_000,
      does: 'create',
    },
    {
      what: 'somebody deleted ours',
      seen: held({ holderIdentity: me.identity }, { gone: true }),
      after: 0,
      does: 'create',
    },
  ])('when $what', ({ seen, after, does }) => {
    const judgement = assessLease(seen, me, 100_000 + after);
    expect(judgement.do === 'wait' ? judgement.remaining : judgement.do).toBe(does);
  });

  it('trusts another process of the same host outside of a Pod', () => {
    const outside = { identity: `host_${ONE}`, duration: 8_000 };
    expect(assessLease(held({ holderIdentity: `host_${TWO}` }), outside, 100_000).do).toBe('wait');
  });
});

describe('the time since a record changed', () => {
  const other = held({ holderIdentity: 'other' });
  const found = (spec: Readonly<Record<string, unknown>>, version: string) => {
    const { lease } = held({ holderIdentity: 'other', ...spec });
    if (lease === undefined) throw new Error('no lease');
    return { ...lease, resourceVersion: version };
  };

  it.each([
    { what: 'nothing', spec: {}, version: '7', since: 100_000 },
    { what: 'only labels', spec: {}, version: '8', since: 100_000 },
    { what: 'the time of renewal', spec: { renewTime: '2026-01-01T00:00:02.000000Z' }, version: '8', since: 200_000 },
    {
      what: 'the time of renewal, backwards',
      spec: { renewTime: '1999-01-01T00:00:00.000000Z' },
      version: '8',
      since: 200_000,
    },
    { what: 'the holder', spec: { holderIdentity: 'third' }, version: '8', since: 200_000 },
  ])('changed: $what', ({ spec, version, since }) => {
    const seen = observe(other, found(spec, version), 200_000);
    expect(seen.unchangedSince).toBe(since);
    // The next write must use the resource version that was just read.
    expect(seen.lease?.resourceVersion).toBe(version);
  });

  it('continues while the Lease is missing', () => {
    const gone = observe(other, undefined, 200_000);
    expect(gone).toMatchObject({ gone: true, unchangedSince: 100_000 });
    expect(observe(gone, found({}, '9'), 300_000)).toMatchObject({ gone: false, unchangedSince: 100_000 });
  });
});

describe('a Lease that was edited by hand', () => {
  it.each([
    [undefined, { holder: '', transitions: 0 }],
    [
      { holderIdentity: 7, leaseDurationSeconds: 'x', leaseTransitions: -4 },
      { holder: '', transitions: 0 },
    ],
    [{ leaseDurationSeconds: -8 }, { duration: undefined }],
    [{ leaseTransitions: 2 ** 31 - 1 }, { transitions: 0 }],
    [
      { renewTime: { not: 'a time' }, acquireTime: new Date(NaN) },
      { renewTime: '', acquireTime: '' },
    ],
  ] as const)('%j is read without harm', (spec, expected) => {
    expect(readRecord(spec)).toMatchObject(expected);
  });
});

describe('the identity in the Lease', () => {
  it('is the Pod name with a UUID of the process', () => {
    const one = leaseIdentity({ POD_NAME: 'swapper-7f9-x2x' });
    expect(one.podName).toBe('swapper-7f9-x2x');
    expect(one.identity).toMatch(/^swapper-7f9-x2x_[0-9a-f-]{36}$/);
    expect(leaseIdentity({ POD_NAME: 'swapper-7f9-x2x' }).identity).not.toBe(one.identity);
  });

  it('is the host outside of a Pod, which proves nothing about another process there', () => {
    const { name, identity, podName } = leaseIdentity({ POD_NAME: '' });
    expect(name).not.toBe('');
    expect(identity).toMatch(/^.+_[0-9a-f-]{36}$/);
    expect(identity.startsWith(`${name}_`)).toBe(true);
    expect(podName).toBeUndefined();
  });
});
