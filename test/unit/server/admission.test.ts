import { expect, it } from 'vitest';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import type { CopyStart, CopyWish } from '../../../extension-service/src/mirror/copy-gate.js';
import { Admission } from '../../../extension-service/src/server/admission.js';
import type { Existence } from '../../../extension-service/src/targets/existence.js';
import { configOf, rulesOf } from '../decide/rules-of.js';
import { OUTCOME } from '../mirror/queue-world.js';

/** One admission of an image that the target has, or has not. */
async function admit(more: Partial<Config>, present: boolean, result: CopyStart['result']) {
  const config = configOf({ imageCopyDeadline: 5, ...more });
  const existence: Existence = present
    ? { state: 'present', digest: OUTCOME.digest, from: 'memory' }
    : { state: 'absent', from: 'memory' };
  const wishes: CopyWish[] = [];
  let letGo = 0;
  const admission = new Admission({
    current: () => ({ config, rules: rulesOf(more) }),
    existence: { known: () => existence, find: async () => existence },
    access: async () => ({ state: 'granted', to: 'everybody', freshFor: 1 }),
    enqueue: (_job, wish) => {
      wishes.push(wish);
      return { handedOver: false, result, letGo: () => void (letGo += 1) };
    },
    now: Date.now,
  });
  const pod = { spec: { containers: [{ name: 'app', image: 'app', imagePullPolicy: 'Always' }] } };
  const answer = await admission.review({ pod, namespace: 'team-a', operation: 'CREATE', uid: 'u', dryRun: false });
  return { wishes, letGo, copy: answer.containers[0]?.copy };
}

const never = new Promise<never>(() => undefined);
const ended = Promise.resolve({ ok: true, outcome: OUTCOME } as const);

it.each(['immediate', 'force'] as const)(
  'an %s copy is let go when the deadline has passed',
  async (imageCopyPolicy) => {
    expect(await admit({ imageCopyPolicy }, false, never)).toMatchObject({ copy: 'late', letGo: 1 });
    expect(await admit({ imageCopyPolicy }, false, ended)).toMatchObject({ copy: 'finished', letGo: 0 });
  },
);

it.each<readonly [string, Partial<Config>, boolean, CopyWish]>([
  ['the source, which is missing in the target', {}, false, { waits: false, swapped: false }],
  ['the target, which has it', {}, true, { waits: false, swapped: true }],
  ['the target, by policy', { imageSwapPolicy: 'always' }, false, { waits: false, swapped: true }],
  ['the source, while it waits', { imageCopyPolicy: 'immediate' }, false, { waits: true, swapped: false }],
])('a copy is asked for with what the Pod will name: %s', async (_, config, present, wish) => {
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
