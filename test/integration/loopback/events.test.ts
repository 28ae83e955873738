import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectCluster } from '../../../extension-service/src/kubernetes/api.js';
import type { Clock } from '../../../extension-service/src/kubernetes/clock.js';
import { systemClock } from '../../../extension-service/src/kubernetes/clock.js';
import type { CopyUpdate } from '../../../extension-service/src/kubernetes/copy-update.js';
import { ClusterEvents } from '../../../extension-service/src/kubernetes/events/cluster-events.js';
import { EventRecorder } from '../../../extension-service/src/kubernetes/events/event-recorder.js';
import type { ObjectReference } from '../../../extension-service/src/kubernetes/object-reference.js';
import { FakeObjectServer } from '../../fakes/object-server.js';
import { untilWith } from '../../fakes/until.js';

let api: FakeObjectServer;
let folder: string;
let log: string[];
let ahead: number;
const recorders: EventRecorder[] = [];

/** This machine's clock, which the test sets ahead. */
const clock: Clock = { ...systemClock, now: () => systemClock.now() + ahead };

beforeEach(async () => {
  api = await FakeObjectServer.start();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  await writeFile(join(folder, 'kubeconfig'), api.kubeconfig('swapper'));
  log = [];
  ahead = 0;
});

afterEach(async () => {
  api.fault = () => undefined;
  await Promise.all(recorders.splice(0).map(async (recorder) => recorder.stop()));
  await api.close();
  await rm(folder, { recursive: true });
});

async function start(): Promise<EventRecorder> {
  const cluster = await connectCluster({ KUBECONFIG: join(folder, 'kubeconfig') });
  if (cluster === undefined) throw new Error('KUBECONFIG was not read');
  const recorder = new EventRecorder({
    api: new ClusterEvents(cluster.core, 'swapper-7f9-x2x'),
    log: (level, message) => level !== 'debug' && log.push(`${level}: ${message}`),
    clock,
    // Zero gives the shortest pauses.
    random: () => 0,
  });
  recorders.push(recorder);
  return recorder;
}

function user(name: string, namespace = 'team-a'): ObjectReference {
  return { apiVersion: 'apps/v1', kind: 'Deployment', namespace, name, uid: `uid-${namespace}-${name}` };
}

function failed(image: string, users: readonly ObjectReference[], nextTry?: number): CopyUpdate {
  const failure = { reason: 'unreachable', message: 'connection refused', retryable: true } as const;
  const result = { ok: false, failure, ...(nextTry !== undefined && { nextTry }) } as const;
  return {
    source: `docker.io/${image}`,
    target: 'default',
    reference: `target.test/docker.io/${image}`,
    users,
    result,
  };
}

function copied(image: string, users: readonly ObjectReference[]): CopyUpdate {
  return { ...failed(image, users), result: { ok: true, upToDate: false, digest: 'sha256:abc' } };
}
const until = untilWith(() => log.join('\n'));

const events = () => [...api.objects.values()];
const counts = () => events().map(({ count }) => count);
const requests = () => api.requests.map(({ method, path }) => `${method} ${path}`);

describe('Events at the API server', () => {
  it('name the result, the object and the reporter in the fields that kubectl shows', async () => {
    const recorder = await start();
    recorder.record(copied('library/nginx:1.27', [user('web')]));
    await until('an Event', () => events().length === 1);
    const time: unknown = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(events()[0]).toMatchObject({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { namespace: 'team-a', name: expect.stringMatching(/^web\.[0-9a-f]{20}$/) as string },
      involvedObject: {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        namespace: 'team-a',
        name: 'web',
        uid: 'uid-team-a-web',
      },
      type: 'Normal',
      reason: 'Mirrored',
      action: 'Mirror',
      message: 'copied docker.io/library/nginx:1.27 to target.test/docker.io/library/nginx:1.27 (sha256:abc)',
      count: 1,
      firstTimestamp: time,
      lastTimestamp: time,
      source: { component: 'image-swapper' },
      reportingComponent: 'image-swapper',
      reportingInstance: 'swapper-7f9-x2x',
    });
    expect(log).toEqual([]);
  });

  it('are counted with the last message when they repeat', async () => {
    const recorder = await start();
    for (const [index, seconds] of [10, 20, 40].entries()) {
      recorder.record(failed('a:1', [user('web')], Date.now() + seconds * 1_000));
      await until('the next count', () => counts()[0] === index + 1);
    }
    expect(events()[0]?.['message']).toMatch(/next attempt in 40 s$/);
    expect(requests().map((request) => request.split(' ')[0])).toEqual(['POST', 'PATCH', 'PATCH']);
    recorder.record(copied('a:1', [user('web')]));
    await until('another Event', () => events().length === 2);
    expect(counts()).toEqual([3, 1]);
  });

  it('are counted further by another leader that may not read them', async () => {
    const first = await start();
    for (let times = 0; times < 3; times += 1) first.record(failed('a:1', [user('web')]));
    await until('an Event', () => counts()[0] === 3 || counts()[0] === 1);
    await first.stop();
    expect(counts()).toEqual([3]);
    const second = await start();
    second.record(failed('a:1', [user('web')]));
    await until('its count', () => counts()[0] === 4);
    second.record(failed('a:1', [user('web')]));
    await until('its count', () => counts()[0] === 5);
    expect(requests().some((request) => request.startsWith('GET'))).toBe(false);
  });

  it('are recreated when the API server has deleted them', async () => {
    const recorder = await start();
    recorder.record(failed('a:1', [user('web')]));
    await until('an Event', () => counts()[0] === 1);
    api.objects.clear();
    recorder.record(failed('a:1', [user('web')]));
    await until('another', () => counts()[0] === 1);
  });
});

describe('many results at once', () => {
  it('makes a bounded number of requests and reports the number of dropped Events', async () => {
    const recorder = await start();
    const begin = performance.now();
    for (let index = 0; index < 2_500; index += 1) {
      const image = index % 1_000;
      const users = Array.from({ length: 8 }, (_, i) => user(`w${(image + i) % 300}`, `team-${i % 4}`));
      recorder.record(failed(`image-${image}:1`, users));
    }
    await until('requests after the burst', () => api.requests.length > 52);
    await recorder.stop();
    const seconds = (performance.now() - begin) / 1_000;
    // The limit is a burst of 50, then 5 per second, and one request that the stop interrupted.
    expect(api.requests.length).toBeLessThanOrEqual(50 + 5 * seconds + 1);
    expect(log).toHaveLength(1);
    expect(log[0]).toMatch(/^info: dropped \d{4,} Events/);
  });

  it('are limited to 25 per object, without affecting other objects', async () => {
    const recorder = await start();
    for (let image = 0; image < 100; image += 1) recorder.record(failed(`image-${image}:1`, [user('noisy')]));
    recorder.record(failed('image-1:1', [user('quiet')]));
    await until('the quiet one', () => events().some(({ metadata }) => metadata.name.startsWith('quiet.')));
    expect(events().filter(({ metadata }) => metadata.name.startsWith('noisy.'))).toHaveLength(25);
  });

  it('keeps the newest thousand waiting Events', async () => {
    const recorder = await start();
    for (let index = 0; index < 1_500; index += 1) recorder.record(failed('a:1', [user(`w${index}`)]));
    await until('some', () => events().length >= 3);
    // The first Event was already being sent.
    const names = events().map(({ metadata }) => metadata.name.split('.')[0]);
    expect(names.slice(0, 3)).toEqual(['w0', 'w500', 'w501']);
  });

  it('keeps equal Events as one', async () => {
    const recorder = await start();
    for (let times = 0; times < 500; times += 1) recorder.record(failed('a:1', [user('web')]));
    await until('all of them', () => counts()[0] === 500);
    expect(api.requests.length).toBeLessThanOrEqual(2);
  });
});

describe('an API server that', () => {
  it.each<429 | 'cut'>([429, 'cut'])('answers %s first receives the Event later', async (fault) => {
    const recorder = await start();
    let left = 2;
    api.fault = () => (left-- > 0 ? fault : undefined);
    recorder.record(failed('a:1', [user('web')]));
    await until('an Event', () => events().length === 1);
    expect(api.requests).toHaveLength(3);
    expect(log).toEqual([]);
  });

  it('is down gets a few attempts and delays nothing', async () => {
    const recorder = await start();
    api.fault = () => 500;
    recorder.record(failed('a:1', [user('web')]));
    await until('the last try', () => api.requests.length === 4);
    api.fault = () => undefined;
    recorder.record(failed('b:1', [user('web')]));
    await until('the next Event', () => events().length === 1);
    expect(api.requests).toHaveLength(5);
  });

  it('refuses gets no Events for an hour, and is named once with the missing right', async () => {
    const recorder = await start();
    api.fault = () => 403;
    recorder.record(failed('a:1', [user('web'), user('other')]));
    await until('a warning', () => log.length > 0);
    expect(log).toEqual([
      expect.stringMatching(
        /^warn: Events are paused for an hour: create Event team-a\/.*: forbidden \(403\); grant the service's ServiceAccount the verb create on events; or set events.enabled to false$/,
      ),
    ]);
    recorder.record(failed('b:1', [user('web')]));
    await sleep(50);
    expect(api.requests).toHaveLength(1);
    ahead += 3_600_000;
    recorder.record(failed('b:1', [user('web')]));
    await until('the next try', () => api.requests.length === 2);
    api.fault = () => undefined;
    await until('an Event', () => {
      // The hour begins when the refusal has arrived, which the test cannot observe.
      ahead += 3_700_000;
      recorder.record(failed('b:1', [user('web')]));
      return events().length === 1;
    });
    await until('the end of it', () => log.length === 2);
    expect(log[1]).toBe('info: writing Events works again');
  });

  it('without the namespace loses only that Event', async () => {
    const recorder = await start();
    api.fault = ({ path }) => (path.includes('/gone/') ? 404 : undefined);
    recorder.record(failed('a:1', [user('web', 'gone'), user('web', 'here')]));
    await until('an Event', () => events().length === 1);
    expect(requests()).toHaveLength(2);
    expect(log).toEqual([]);
  });

  it('hangs does not keep the service from stopping', async () => {
    const recorder = await start();
    api.fault = () => 'hang';
    recorder.record(failed('a:1', [user('web')]));
    await until('a request', () => api.requests.length === 1);
    await recorder.stop();
    recorder.record(failed('b:1', [user('web')]));
    await sleep(20);
    expect(api.requests).toHaveLength(1);
  });
});
