import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { copyReport } from '../../../extension-service/src/background/copy-report.js';
import { CopyAgenda } from '../../../extension-service/src/kubernetes/workloads/agenda.js';
import { NEW_RANK } from '../../../extension-service/src/kubernetes/workloads/due-keys.js';
import { WantedImages } from '../../../extension-service/src/kubernetes/workloads/wanted-images.js';
import type { FailureReason } from '../../../extension-service/src/registry/copy-failure.js';
import { MirrorQueue } from '../../../extension-service/src/mirror/queue.js';
import { failure } from '../mirror/queue-world.js';
import { imageJob, objectReference } from './workloads.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const MINUTE = 60_000;

/** Times of the copy attempts within three hours, in minutes. */
async function tries(reason: FailureReason, retryable: boolean): Promise<number[]> {
  const times: number[] = [];
  const start = Date.now();
  const images = new WantedImages();
  const queue: MirrorQueue = new MirrorQueue(
    {
      copy: () => {
        times.push((Date.now() - start) / MINUTE);
        return Promise.reject(failure(reason, retryable, { host: 'docker.io' }));
      },
    },
    {
      concurrency: 1,
      random: () => 1,
      events: { onDone: (job, result) => agenda.copied(copyReport(job, result, queue.find(job.key))) },
    },
  );
  const agenda = new CopyAgenda({
    images,
    want: (jobs) => {
      for (const job of jobs) {
        void queue.enqueue(job).then((result) => agenda.settled(copyReport(job, result, queue.find(job.key))));
      }
    },
    now: Date.now,
    interval: 10 * MINUTE,
    refresh: 60 * MINUTE,
    audit: 24 * 60 * MINUTE,
  });
  const running = new AbortController();
  void agenda.run(running.signal);
  const uses = { jobs: [imageJob('app')], uncertain: new Set<string>() };
  agenda.add(images.put(objectReference('a'), undefined, uses, 1).fresh, NEW_RANK);
  await vi.advanceTimersByTimeAsync(180 * MINUTE);
  running.abort();
  await queue.stop(0);
  return times;
}

it.each(['conflict', 'invalid', 'refused', 'absent', 'unauthorized'] as const)(
  'retries permanent failures at growing intervals: %s',
  async (reason) => {
    const times = await tries(reason, false);
    expect(times.slice(0, 5).map(Math.round)).toEqual([0, 1, 3, 7, 15]);
    // Later attempts are at least one interval apart.
    expect(times.length).toBeLessThan(25);
  },
);

it.each(['server', 'internal'] as const)('restarts failed copies at the same growing intervals: %s', async (reason) => {
  // Each round has twelve attempts in 19 minutes, followed by a pause of up to ten minutes.
  expect((await tries(reason, true)).length).toBeLessThan(12 * 8);
});
