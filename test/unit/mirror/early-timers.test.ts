import { expect, it } from 'vitest';
import { MirrorQueue } from '../../../extension-service/src/mirror/queue.js';
import { failure, FakeClock, HeldCopier, job, settledPromises } from './queue-world.js';

/** Node.js starts a timer at the time of the event loop iteration, so the timer may fire a few milliseconds early. */
it('copies continue after a pause although the timer fired early', async () => {
  const clock = new FakeClock();
  const copier = new HeldCopier();
  const queue = new MirrorQueue(copier, {
    concurrency: 1,
    now: clock.now,
    random: () => 1,
    after: (milliseconds, callback) => clock.after(Math.max(1, milliseconds - 3), callback),
  });
  void queue.enqueue(job('a'));
  void queue.enqueue(job('b'));
  copier.started[0]?.fail(failure('throttled', true, { host: 'mirror.test' }));
  await settledPromises();
  expect(copier.names).toEqual(['a']);
  await clock.pass(2_000);
  expect(copier.names).toEqual(['a', 'b']);
});
