import { describe, expect, it } from 'vitest';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import type { SourceAccess } from '../../../extension-service/src/core/decide/source-access.js';
import { SourceAccessGate } from '../../../extension-service/src/server/source-access.js';
import { job } from '../mirror/queue-world.js';

const open: SourceAccess = { state: 'granted', to: 'everybody', freshFor: 1_000 };
const own: SourceAccess = { state: 'granted', to: 'pod', freshFor: 1_000 };
const DIGEST = `sha256:${'1'.repeat(64)}`;
const OTHER_DIGEST = `sha256:${'2'.repeat(64)}`;

/** A gate in front of a worker that returns this answer. `asked` counts the requests to the worker. */
function gate(answer: () => Promise<SourceAccess>) {
  let now = 0;
  let asked = 0;
  const made = new SourceAccessGate(
    () => {
      asked += 1;
      return answer();
    },
    () => now,
  );
  const check = (name = 'app', digest = DIGEST): Promise<SourceAccess> =>
    made.check(job(name) satisfies MirrorJob, digest, 50);
  return { made, check, asked: () => asked, wait: (milliseconds: number) => void (now += milliseconds) };
}

describe('the access check in front of the worker', () => {
  it('remembers public images by image and digest for as long as the worker', async () => {
    const { check, asked, wait } = gate(async () => open);
    expect([(await check()).state, (await check()).state, asked()]).toEqual(['granted', 'granted', 1]);
    await check('app', OTHER_DIGEST);
    await check('other');
    expect(asked()).toBe(3);
    wait(1_000);
    await check();
    expect(asked()).toBe(4);
  });

  it.each<SourceAccess>([own, { state: 'refused', message: '' }, { state: 'unknown', message: '' }])(
    'checks images that depend on secrets each time: $state',
    async (answer) => {
      const { check, asked } = gate(async () => answer);
      expect([await check(), await check(), asked()]).toEqual([answer, answer, 2]);
    },
  );

  it('is cleared with the configuration, including pending answers', async () => {
    let resolve: (access: SourceAccess) => void = () => undefined;
    const { made, check, asked } = gate(() => new Promise((done) => (resolve = done)));
    const first = check();
    made.forget();
    resolve(open);
    expect(await first).toEqual(open);
    const second = check();
    resolve(open);
    await second;
    expect(asked()).toBe(2);
  });

  it('answers in time, and without a worker', async () => {
    expect((await gate(() => new Promise(() => undefined)).check()).state).toBe('unknown');
    expect(await gate(() => Promise.reject(new Error('the worker ended'))).check()).toEqual({
      state: 'unknown',
      message: 'the worker ended',
    });
  });
});
