import { describe, expect, it } from 'vitest';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import type { CopyStart, CopyRequest } from '../../../extension-service/src/mirror/copy-gate.js';
import { Admission } from '../../../extension-service/src/server/admission.js';
import type { SourceAccess } from '../../../extension-service/src/core/decide/source-access.js';
import type { Existence } from '../../../extension-service/src/targets/existence.js';
import { configOf, rulesOf } from '../decide/rules-of.js';
import { OUTCOME } from '../mirror/queue-world.js';

/** Runs one admission of an image. `present` says whether the target has the image. */
async function admit(more: Partial<Config>, present: boolean, result: CopyStart['result']) {
  const config = configOf({ imageCopyDeadline: 5, ...more });
  const existence: Existence = present
    ? { state: 'present', digest: OUTCOME.digest, from: 'memory' }
    : { state: 'absent', from: 'memory' };
  const requests: CopyRequest[] = [];
  let releases = 0;
  const admission = new Admission({
    current: () => ({ config, rules: rulesOf(more) }),
    existence: { known: () => existence, find: async () => existence },
    access: async () => ({ state: 'granted', to: 'everybody', freshFor: 1 }),
    enqueue: (_job, wish) => {
      requests.push(wish);
      return { handedOver: false, result, release: () => void (releases += 1) };
    },
    now: Date.now,
  });
  const pod = { spec: { containers: [{ name: 'app', image: 'app', imagePullPolicy: 'Always' }] } };
  const answer = await admission.review({ pod, namespace: 'team-a', operation: 'CREATE', uid: 'u', dryRun: false });
  return { wishes: requests, letGo: releases, copy: answer.containers[0]?.copy };
}

const never = new Promise<never>(() => undefined);
const ended = Promise.resolve({ ok: true, outcome: OUTCOME } as const);

it.each(['immediate', 'force'] as const)(
  'an %s copy is released when the deadline has passed',
  async (imageCopyPolicy) => {
    expect(await admit({ imageCopyPolicy }, false, never)).toMatchObject({ copy: 'late', letGo: 1 });
    expect(await admit({ imageCopyPolicy }, false, ended)).toMatchObject({ copy: 'finished', letGo: 0 });
  },
);

it.each<readonly [string, Partial<Config>, boolean, CopyRequest]>([
  ['the source, which is missing in the target', {}, false, { isAwaited: false, swapped: false }],
  ['the target, which has it', {}, true, { isAwaited: false, swapped: true }],
  ['the target, by policy', { imageSwapPolicy: 'always' }, false, { isAwaited: false, swapped: true }],
  ['the source, while it waits', { imageCopyPolicy: 'immediate' }, false, { isAwaited: true, swapped: false }],
])('a copy is requested with the image that the Pod will name: %s', async (_, config, present, wish) => {
  expect((await admit(config, present, ended)).wishes).toEqual([wish]);
});

it('a list of bare images is looked up for 100 references, and answered from memory beyond', async () => {
  const asked: string[] = [];
  const config = configOf();
  const admission = new Admission({
    current: () => ({ config, rules: rulesOf({}) }),
    existence: {
      known: () => ({ state: 'present', from: 'memory' }),
      find: async (_, reference) => {
        asked.push(reference.text);
        return { state: 'absent', from: 'registry' };
      },
    },
    access: async () => ({ state: 'granted', to: 'everybody', freshFor: 1 }),
    enqueue: () => {
      throw new Error('nothing is copied from here');
    },
    now: Date.now,
  });
  const images = Array.from({ length: 1_000 }, (_, n) => `team/app:${n}`);
  const outcomes = await admission.reviewImages(images, {}, rulesOf({}));
  expect(asked).toHaveLength(100);
  expect(outcomes.map(({ outcome }) => outcome)).toEqual([
    ...Array.from({ length: 100 }, () => 'kept'),
    ...Array.from({ length: 900 }, () => 'swapped'),
  ]);
});

describe('source.accessCheck: pullSecrets', () => {
  interface Asked {
    readonly digest: string | undefined;
    readonly namespace: string | undefined;
    readonly milliseconds: number;
  }
  const OTHER = `sha256:${'9'.repeat(64)}`;
  const granted: SourceAccess = { state: 'granted', to: 'pod', freshFor: 1 };

  /** Runs one admission of an image. If `present`, the target has the image with the digest `OTHER`. */
  async function review(more: Partial<Config>, present: boolean, access: SourceAccess, isOn = true) {
    const base = configOf();
    const config = configOf({ ...more, source: { ...base.source, accessCheck: isOn ? 'pullSecrets' : 'none' } });
    const existence: Existence = present
      ? { state: 'present', digest: OTHER, from: 'registry' }
      : { state: 'absent', from: 'registry' };
    const asked: Asked[] = [];
    const admission = new Admission({
      current: () => ({ config, rules: rulesOf(more) }),
      existence: { known: () => (present ? existence : undefined), find: async () => existence },
      access: async ({ pull }, digest, milliseconds) => {
        asked.push({ digest, namespace: pull?.namespace, milliseconds });
        return access;
      },
      enqueue: () => ({ handedOver: false, result: ended }),
      now: Date.now,
    });
    const pod = { spec: { containers: [{ name: 'app', image: 'app' }] } };
    const request = { pod, namespace: 'team-a', operation: 'CREATE', uid: 'u', dryRun: false, trusted: true };
    return { answer: await admission.review(request), asked, admission };
  }

  it.each<readonly [string, Partial<Config>, boolean, string | undefined]>([
    ['the digest that the target has', {}, true, OTHER],
    ['the digest that a copy has brought', { imageCopyPolicy: 'immediate' }, false, OUTCOME.digest],
    ['the name alone, where the target is not looked at', { imageSwapPolicy: 'always' }, false, undefined],
  ])('checks access for %s', async (_, config, present, digest) => {
    const { asked, answer } = await review(config, present, granted);
    expect(asked).toMatchObject([{ digest, namespace: 'team-a' }]);
    expect(answer.containers[0]?.outcome).toBe('swapped');
  });

  it('waits for the answer budget alone, unless the request waits for a copy', async () => {
    const waiting: Partial<Config> = { imageCopyPolicy: 'immediate', imageCopyDeadline: 60_000 };
    const [present, absent] = [await review(waiting, true, granted), await review(waiting, false, granted)];
    expect(present.asked[0]?.milliseconds).toBeLessThanOrEqual(200);
    expect(absent.asked[0]?.milliseconds).toBeGreaterThan(200);
  });

  it.each<SourceAccess>([
    { state: 'refused', message: 'no' },
    { state: 'unknown', message: 'late' },
  ])('keeps the image when the answer is $state, under every policy, and says why', async (access) => {
    for (const more of [{}, { imageSwapPolicy: 'always' }, { imageCopyPolicy: 'force' }] as const) {
      const { answer } = await review(more, true, access);
      expect(answer.swaps).toEqual([]);
      expect(answer.denied).toBeUndefined();
      expect(answer.containers).toMatchObject([{ outcome: 'kept', image: 'app', noAccess: access }]);
    }
  });

  it('checks nothing for an image that is kept anyway, or when it is off', async () => {
    expect((await review({}, false, granted)).asked).toEqual([]);
    const off = await review({}, true, { state: 'refused', message: 'no' }, false);
    expect([off.asked, off.answer.containers[0]?.outcome]).toEqual([[], 'swapped']);
  });

  it('keeps every image of a list without a Pod, as Gatekeeper sends it', async () => {
    const { admission, asked } = await review({}, false, granted);
    const outcomes = await admission.reviewImages(['app'], {}, rulesOf({ imageSwapPolicy: 'always' }));
    expect(outcomes).toMatchObject([{ outcome: 'kept', noAccess: { state: 'refused' } }]);
    expect(asked).toEqual([]);
  });
});
