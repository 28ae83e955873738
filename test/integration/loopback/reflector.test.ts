import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ApiStatusError } from '../../../extension-service/src/kubernetes/watch/cluster-lists.js';
import { clusterLists } from '../../../extension-service/src/kubernetes/watch/cluster-lists.js';
import { clusterWatches } from '../../../extension-service/src/kubernetes/watch/cluster-watches.js';
import { Reflector } from '../../../extension-service/src/kubernetes/watch/reflector.js';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { until } from '../../fakes/until.js';

const PODS = '/api/v1/pods';

let cluster: FakeCluster;
let running: AbortController;
let ended: Promise<void> | undefined;
/** The objects of the reflector by name. */
let present: Map<string, string>;
let lists: number;
let problems: (string | undefined)[];

beforeEach(async () => {
  cluster = await FakeCluster.start();
  running = new AbortController();
  ended = undefined;
  present = new Map();
  lists = 0;
  problems = [];
});
afterEach(async () => {
  running.abort();
  await ended;
  await cluster.close();
});

async function start({
  silence: idleTimeoutMs = 60_000,
  largest,
}: { silence?: number; largest?: number } = {}): Promise<void> {
  const config = new KubeConfig();
  config.loadFromString(cluster.kubeconfig());
  let generation = new Set<string>();
  const reflector = new Reflector({
    lists: clusterLists(config, largest),
    watches: await clusterWatches(config),
    path: PODS,
    sink: {
      listing: () => (generation = new Set()),
      apply: (object) => {
        const { name, label = '' } = (object['metadata'] ?? {}) as { name?: string; label?: string };
        if (name === undefined) return;
        generation.add(name);
        present.set(name, label);
      },
      remove: (object) => present.delete((object['metadata'] as { name: string }).name),
      listed: () => {
        lists += 1;
        for (const name of present.keys()) if (!generation.has(name)) present.delete(name);
      },
    },
    onProblem: (error: ApiStatusError | undefined) => problems.push(error && `${error.code} ${error.message}`),
    times: { idleTimeoutMs, watch: 240_000, pause: [20, 100] },
  });
  ended = reflector.run(running.signal);
}

function put(...names: string[]): void {
  for (const name of names) cluster.collection(PODS).put(smallPod(name, `${name}:1`));
}

function uid(name: string): string {
  return smallPod(name, '').metadata.uid;
}

async function watching(): Promise<void> {
  await until('a watch', () => cluster.openWatches(PODS) === 1);
}

async function has(...names: string[]): Promise<void> {
  await until(`has ${names.join(' ')}`, () => [...present.keys()].sort().join() === [...names].sort().join());
}

describe('existing images', () => {
  it('is listed page by page, and watched from there', async () => {
    cluster.collection(PODS).generate(340, (index) => smallPod(`pod-${index}`, 'app:1'));
    await start();
    await watching();
    expect(present.size).toBe(340);
    const pages = cluster.requests.filter(({ verb }) => verb === 'list');
    expect(pages.map(({ query }) => query['limit'])).toEqual(['100', '100', '100', '100']);
    put('late');
    await until('the late one', () => present.has('late'));
    cluster.collection(PODS).remove(uid('late'));
    await until('the late one is gone', () => !present.has('late'));
    expect([lists, problems]).toEqual([1, []]);
  });

  it('is listed by smaller pages where objects are large', async () => {
    const large = JSON.stringify(smallPod('pod-0', 'app:1')).length * 8;
    cluster.collection(PODS).generate(60, (index) => smallPod(`pod-${index}`, 'app:1'));
    await start({ largest: large });
    await watching();
    expect([present.size, lists, problems]).toEqual([60, 1, []]);
    const limits = cluster.requests.filter(({ verb }) => verb === 'list').map(({ query }) => Number(query['limit']));
    expect(limits).toEqual([100, 20, ...Array<number>(15).fill(4)]);
  });

  it('is read within a limit, even for a single object', async () => {
    put('a');
    await start({ largest: 100 });
    await until('the trouble', () => problems.length > 0);
    expect(problems).toEqual([`0 ${PODS}: a page of the list has more than 100 bytes`]);
    expect(present.size).toBe(0);
  });

  it('is kept after an answer without a list', async () => {
    put('a', 'b');
    await start();
    await watching();
    for (const text of ['{}', '{"kind":"PodList","metadata":{"resourceVersion":"9"},"items":null}']) {
      cluster.fault({ verb: 'list', times: 1, fault: { type: 'text', text } });
    }
    cluster.compact();
    cluster.endWatches(PODS);
    put('c');
    await has('a', 'b', 'c');
    expect(problems).toEqual([`0 ${PODS}: the response is not a list`, undefined]);
    expect(lists).toBe(2);
  });

  it('loses nothing that happens between the list and the watch', async () => {
    put('a');
    cluster.fault({ verb: 'watch', fault: { type: 'slow', milliseconds: 150 }, times: 1 });
    await start();
    await until('the list', () => lists === 1);
    put('between');
    await has('a', 'between');
    expect(lists).toBe(1);
  });

  it('is not checked after the end', async () => {
    await start();
    await watching();
    running.abort();
    await ended;
    await until('no watch', () => cluster.openWatches(PODS) === 0);
    const before = cluster.requests.length;
    await sleep(200);
    expect(cluster.requests).toHaveLength(before);
  });
});

describe('a watch that ends', () => {
  it.each<readonly [string, () => void]>([
    ['by the server', () => cluster.endWatches(PODS)],
    ['by a cut', () => cluster.cutWatches()],
  ])('%s continues from the last version without a list', async (_, end) => {
    put('a');
    await start();
    await watching();
    put('b');
    await has('a', 'b');
    end();
    // No watch is open now: the next one brings this change.
    put('c');
    await has('a', 'b', 'c');
    expect([lists, cluster.count('watch')]).toEqual([1, 2]);
  });

  it('immediately each time is not repeated in a tight loop', async () => {
    cluster.fault({ verb: 'watch', fault: { type: 'end' } });
    const begin = performance.now();
    await start();
    await until('some watches', () => cluster.count('watch') > 2);
    await sleep(400);
    // There is at most one watch per 40 ms, which is twice the shortest pause.
    expect(cluster.count('watch')).toBeLessThanOrEqual(2 + (performance.now() - begin) / 40);
    expect(cluster.count('list')).toBe(1);
  });

  it('continues from a bookmark, even if older versions are gone', async () => {
    await start();
    await watching();
    cluster.compact();
    // The end follows the bookmark on the same connection.
    cluster.bookmark(PODS);
    cluster.endWatches(PODS);
    put('a');
    await has('a');
    expect(lists).toBe(1);
  });

  it('without any event is abandoned, because the connection is lost', async () => {
    await start({ silence: 300 });
    await watching();
    cluster.stopSending(PODS);
    put('unheard');
    await has('unheard');
    expect(lists).toBe(1);
    expect(problems[0]).toContain('no data for 0.3 s');
  });

  it('is kept while bookmarks arrive', async () => {
    const idleTimeoutMs = 2_000;
    await start({ silence: idleTimeoutMs });
    await watching();
    const abandoned = (): readonly number[] => [cluster.count('watch'), problems.length];
    let [before, started, last] = [abandoned(), performance.now(), performance.now()];
    while (last - started < 1.5 * idleTimeoutMs) {
      await sleep(50);
      cluster.bookmark(PODS);
      const now = performance.now();
      // The machine paused, which may have ended the watch: the time without a pause begins again.
      if (now - last > idleTimeoutMs / 2) {
        await watching();
        [before, started] = [abandoned(), performance.now()];
      }
      last = now;
    }
    expect([abandoned(), cluster.openWatches(PODS)]).toEqual([before, 1]);
  });

  it('that hangs before it starts is abandoned', async () => {
    cluster.fault({ verb: 'watch', fault: { type: 'hang' }, times: 1 });
    await start({ silence: 200 });
    await until('the list', () => lists === 1);
    put('a');
    await has('a');
  });
});

describe('a server that has discarded a version', () => {
  it.each(['error-event', 'status'] as const)('reports it to a watch by %s, and is listed again', async (type) => {
    put('stays', 'goes');
    await start();
    await watching();
    cluster.fault({ verb: 'watch', fault: { type, code: 410 }, times: 1 });
    cluster.endWatches(PODS);
    cluster.collection(PODS).remove(uid('goes'), false);
    await has('stays');
    expect([lists, problems]).toEqual([2, []]);
  });

  it('reports it between two pages', async () => {
    cluster.collection(PODS).generate(240, (index) => smallPod(`pod-${index}`, 'app:1'));
    cluster.fault({ verb: 'list', after: 1, times: 1, fault: { type: 'status', code: 410 } });
    await start();
    await watching();
    expect([present.size, lists, cluster.count('list')]).toEqual([240, 1, 5]);
  });

  it.each(['list', 'watch'] as const)('repeatedly is not listed in a tight loop: %s', async (verb) => {
    cluster.collection(PODS).generate(120, (index) => smallPod(`pod-${index}`, 'app:1'));
    cluster.fault({ verb, after: verb === 'list' ? 1 : 0, fault: { type: 'status', code: 410 } });
    await start();
    const begin = performance.now();
    await until('the trouble', () => problems.length > 0);
    await sleep(1_000);
    // Each attempt reads two pages. Pauses are at most 100 ms in this test.
    expect(cluster.count('list')).toBeLessThan((50 * (performance.now() - begin)) / 1_000);
    expect(problems).toHaveLength(1);
  });
});

describe('a problem', () => {
  it.each<readonly [string, Parameters<FakeCluster['fault']>[0]['fault']]>([
    ['429', { type: 'status', code: 429 }],
    ['500', { type: 'status', code: 500 }],
    ['a connection that is cut', { type: 'cut' }],
    ['an answer that is cut', { type: 'cut', after: 2_000 }],
    ['an answer that is not JSON', { type: 'text', text: '<html>' }],
  ])('continues where the list was interrupted by %s', async (_, fault) => {
    cluster.collection(PODS).generate(240, (index) => smallPod(`pod-${index}`, 'app:1'));
    cluster.fault({ verb: 'list', after: 1, times: 2, fault });
    await start();
    await watching();
    expect([present.size, lists]).toEqual([240, 1]);
    const starts = cluster.requests.map(({ query }) => query['continue']?.split('/')[1]);
    expect(starts.slice(0, 5)).toEqual([undefined, '100', '100', '100', '200']);
    expect(problems).toEqual([expect.any(String), undefined]);
  });

  it('with a requested wait is retried after that wait', async () => {
    const headers = { 'Retry-After': '1' };
    cluster.fault({ verb: 'list', times: 1, fault: { type: 'status', code: 429, headers } });
    const before = Date.now();
    await start();
    await watching();
    // This test sets the maximum pause to 100 ms.
    expect(Date.now() - before).toBeGreaterThanOrEqual(99);
  });

  it('of rights is reported once and ends when they are granted', async () => {
    put('a');
    cluster.fault({ fault: { type: 'status', code: 403 } });
    await start();
    await until('a report', () => problems.length > 0);
    await sleep(500);
    expect(problems).toEqual(['403 /api/v1/pods: status 403: injected 403']);
    cluster.clearFaults();
    await has('a');
    expect(problems).toEqual([expect.any(String), undefined]);
  });

  it('of an unavailable server is reported once, and nothing is lost', async () => {
    put('a', 'b');
    await start();
    await watching();
    await cluster.disconnect();
    cluster.collection(PODS).remove(uid('a'));
    put('c');
    await until('a report', () => problems.length > 0);
    await cluster.reconnect();
    await has('b', 'c');
    expect(problems).toEqual([expect.any(String), undefined]);
  });

  it('is not caused by hostile objects', async () => {
    await start();
    await watching();
    for (const line of [
      '',
      '{',
      'null',
      '[]',
      '{"type":"ADDED"}',
      '{"type":7,"object":[]}',
      '{"type":"ADDED","object":{}}',
    ]) {
      cluster.sendRaw(PODS, line);
    }
    put('a');
    await has('a');
    expect([lists, problems]).toEqual([1, []]);
  });
});
