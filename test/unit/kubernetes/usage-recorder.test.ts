import { describe, expect, it } from 'vitest';
import { showGarbage } from '../../../extension-service/src/background/garbage-metrics.js';
import { updatedRecord } from '../../../extension-service/src/core/gc/usage-record.js';
import type { UsageRecord } from '../../../extension-service/src/core/gc/usage-record.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import { usesOf } from '../../../extension-service/src/kubernetes/workloads/uses.js';
import { Sources } from '../../../extension-service/src/kubernetes/workloads/sources.js';
import { GarbageTask } from '../../../extension-service/src/kubernetes/usage/garbage-task.js';
import type {
  GarbageTaskOptions,
  TargetGarbage,
} from '../../../extension-service/src/kubernetes/usage/garbage-task.js';
import { UsageRecorder } from '../../../extension-service/src/kubernetes/usage/usage-recorder.js';
import type { UsageRecorderOptions } from '../../../extension-service/src/kubernetes/usage/usage-recorder.js';
import { imagesUsedBy, UsedImages } from '../../../extension-service/src/kubernetes/usage/used-images.js';
import type { LastUses } from '../../../extension-service/src/kubernetes/usage/used-images.js';
import { createMetrics } from '../../../extension-service/src/telemetry/metrics.js';
import { until } from '../../fakes/until.js';
import { configOf, ociTarget, rulesOf } from '../decide/rules-of.js';

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('the images that a Pod keeps in a target', () => {
  const rules = rulesOf({ ...configOf(), target: ociTarget('mirror.test', { prefix: 'm' }) });
  const used = (images: readonly string[], more: JsonObject = {}): readonly string[] => {
    const pod = { metadata: more, spec: { containers: images.map((image, index) => ({ name: `c${index}`, image })) } };
    return [...new Set(imagesUsedBy(rules, pod, usesOf(rules, new Sources(), pod, 'default').jobs))];
  };

  it.each<[string, readonly string[], JsonObject, readonly string[]]>([
    ['is the place of its source', ['nginx:1'], {}, ['default m/docker.io/library/nginx:1']],
    [
      'is the keeper tag and the digest',
      [`nginx@${DIGEST}`],
      {},
      ['default m/docker.io/library/nginx:keep-aaaaaaaaaaaa', `default m/docker.io/library/nginx@${DIGEST}`],
    ],
    [
      'is the name in the target that it was given',
      ['mirror.test/m/docker.io/library/nginx:1'],
      {},
      ['default m/docker.io/library/nginx:1'],
    ],
    [
      'is that name of an opted-out Pod as well',
      ['mirror.test/m/docker.io/library/nginx:1'],
      { labels: { 'image-swapper.io/skip': 'true' } },
      ['default m/docker.io/library/nginx:1'],
    ],
    [
      'is a digest in the target that it was given',
      [`mirror.test/m/docker.io/library/nginx@${DIGEST}`],
      { labels: { 'image-swapper.io/skip': 'true' } },
      [`default m/docker.io/library/nginx@${DIGEST}`],
    ],
    ['is a name that no source reads back from', ['mirror.test/m/own:1'], {}, ['default m/own:1']],
    [
      'is empty for an opted-out Pod with source images',
      ['nginx:1'],
      { labels: { 'image-swapper.io/skip': 'true' } },
      [],
    ],
  ])('%s', (_title, images, more, expected) => {
    expect(used(images, more)).toEqual(expected);
  });
});

describe('the uses of images', () => {
  it('last until the last user is deleted, and are reported until they are written', () => {
    let now = 100;
    const first: string[] = [];
    const images = new UsedImages(
      () => now,
      (target, key) => first.push(`${target}|${key}`),
    );
    const seen = (): unknown =>
      Object.fromEntries([...images.report()].map(([target, uses]) => [target, Object.fromEntries(uses)]));
    images.put('a', 'Pod', ['my target x:1'], 1);
    images.put('b', 'Pod', ['my target x:1', 't y:1'], 1);
    expect(first).toEqual(['my target|x:1', 't|y:1']);
    images.remove('a');
    now = 200;
    expect(seen()).toEqual({ 'my target': { 'x:1': 200 }, t: { 'y:1': 200 } });
    images.prune('Pod', 2);
    const report = images.report();
    now = 300;
    expect(seen()).toEqual({ 'my target': { 'x:1': 200 }, t: { 'y:1': 200 } });
    images.put('c', 'Pod', ['t y:1'], 1);
    images.clear();
    images.reported(report);
    expect(seen()).toEqual({ t: { 'y:1': 300 } });
  });
});

describe('the recorder of uses', () => {
  const times = { interval: 3_600_000, shortest: 1, poll: 1 };

  /** Starts a recorder and records its writes. Writes fail while `broken` is true. */
  function start(isSynced: () => boolean) {
    const writes: LastUses[] = [];
    const log: string[] = [];
    const state = { broken: false, during: (): void => undefined, records: new Map<string, UsageRecord>() };
    const counts: (readonly [string, number])[][] = [];
    const options: UsageRecorderOptions = {
      isSynced,
      onWriters: (writers) => counts.push([...writers]),
      times,
      log: (level, message) => log.push(`${level}: ${message}`),
      write: (uses) => {
        if (state.broken) return Promise.reject(new Error('the registry is down'));
        writes.push(uses);
        state.during();
        for (const [target, own] of uses) {
          const usage = { cluster: 'one', writer: 'a', now: Date.now(), uses: own };
          state.records.set(target, updatedRecord(state.records.get(target), usage));
        }
        return Promise.resolve(state.records);
      },
    };
    const abort = new AbortController();
    const recorder = new UsageRecorder(options);
    const ended = recorder.lead(abort.signal);
    const stop = async (): Promise<void> => {
      abort.abort();
      await ended;
    };
    return { recorder, writes, log, state, counts, stop };
  }

  it('writes nothing before everything is listed, then at once, and again for an image that the record lists as unused', async () => {
    let synced = false;
    const { recorder, writes, stop } = start(() => synced);
    recorder.used.put('a', 'Pod', ['t x:1'], 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(writes).toEqual([]);
    synced = true;
    await until('the first record', () => writes.length === 1);
    recorder.used.put('b', 'Pod', ['t y:1'], 1);
    await until('the second record', () => writes.length === 2);
    expect([...(writes[1]?.get('t')?.keys() ?? [])]).toEqual(['x:1', 'y:1']);
    await stop();
    expect(writes).toHaveLength(2);
  });

  it('reports uses that began and ended during a write', async () => {
    const { recorder, writes, state, stop } = start(() => true);
    state.during = () => {
      state.during = () => undefined;
      recorder.used.put('a', 'Pod', ['t x:1'], 1);
      recorder.used.remove('a');
    };
    recorder.used.put('b', 'Pod', ['t y:1'], 1);
    await until('the use', () => writes.some((uses) => uses.get('t')?.has('x:1') === true));
    await stop();
  });

  it('counts and warns of another installation that writes the record, until a day after its last write', async () => {
    const { recorder, log, state, counts, stop } = start(() => true);
    const usage = { cluster: 'one', writer: 'b', now: Date.now(), uses: new Map([['z:1', Date.now()]]) };
    state.records.set('t', updatedRecord(undefined, usage));
    recorder.used.put('a', 'Pod', ['t x:1', 'u x:1'], 1);
    await until('the count', () => counts.some((count) => count.length === 2));
    expect(counts.at(-1)).toEqual([
      ['t', 2],
      ['u', 1],
    ]);
    expect(log.at(-1)).toContain(
      'warn: target t: 2 installations write the record of cluster one, so gc deletes nothing',
    );
    expect(log.filter((line) => line.includes('target u'))).toEqual([]);
    state.records.set('t', updatedRecord(undefined, { ...usage, now: Date.now() - 25 * 3_600_000 }));
    const before = counts.length;
    recorder.used.put('b', 'Pod', ['t y:1'], 1);
    await until('the next count', () => counts.length > before);
    expect(counts.at(-1)).toContainEqual(['t', 1]);
    await stop();
  });

  it('repeats reports of a failed write', async () => {
    const { recorder, writes, log, state, stop } = start(() => true);
    await until('a record', () => writes.length === 1);
    state.broken = true;
    recorder.used.put('a', 'Pod', ['t x:1'], 1);
    recorder.used.remove('a');
    await until('a failure', () => log.length > 0);
    expect(log[0]).toBe('warn: the uses of images are not recorded, so gc deletes nothing: the registry is down');
    state.broken = false;
    await until('the use', () => writes.some((uses) => uses.get('t')?.has('x:1') === true));
    await stop();
  });
});

describe('the daily garbage collection', () => {
  const nothing: TargetGarbage = { target: 't', refusals: [], deleted: 0, bytes: 0, failures: [] };

  /** Values of the refusal gauge after the run, by target. */
  let shown: unknown;

  async function run(
    collect: GarbageTaskOptions['collect'],
    withdraw: GarbageTaskOptions['withdraw'] = () => Promise.resolve(),
  ): Promise<string[]> {
    const log: string[] = [];
    const metrics = createMetrics();
    const abort = new AbortController();
    const task = new GarbageTask({
      collect,
      withdraw,
      report: (results) => showGarbage(metrics, results),
      log: (level, message) => log.push(`${level}: ${message}`),
      times: { first: 0, interval: 3_600_000, afterWithdrawal: 0 },
    });
    const ended = task.lead(abort.signal);
    await until('a line', () => log.length > 0);
    abort.abort();
    await ended;
    shown = await metrics.gcRefusals
      .get()
      .then(({ values }) => values.map(({ labels, value }) => [labels.target, value]));
    return log;
  }

  it('removes names from the table before it deletes the images', async () => {
    const order: string[] = [];
    await run(
      async (beforeDelete) => {
        await beforeDelete(['mirror.test/x:1']);
        order.push('deleted');
        return [{ ...nothing, deleted: 1 }];
      },
      (names) => {
        order.push(`withdrawn ${names.join()}`);
        return Promise.resolve();
      },
    );
    expect(order).toEqual(['withdrawn mirror.test/x:1', 'deleted']);
  });

  it('warns of each reason that stops it, and of images that could not be deleted', async () => {
    const result = [
      { ...nothing, refusals: ['cluster two has no record'] },
      { ...nothing, target: 'u', failures: ['x: no'] },
    ];
    expect(await run(() => Promise.resolve(result))).toEqual([
      'warn: gc: nothing is deleted from target t: cluster two has no record',
      'warn: gc: not deleted from target u: x: no',
      'info: gc: deleted 0 images from target u, at most 0 bytes',
    ]);
    expect(shown).toEqual([
      ['t', 1],
      ['u', 0],
    ]);
  });
});
