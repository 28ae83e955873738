import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Queue } from 'bullmq';
import { stringify } from 'yaml';
import { FakeCluster } from '../../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../../fakes/cluster/pods.js';
import { get } from '../../../fakes/https-client.js';
import { buildImage, loadImage } from '../../../fakes/images.js';
import { limitPulls } from '../../../fakes/pull-budget.js';
import { RedisServer } from '../../../fakes/redis.js';
import { FakeRegistry } from '../../../fakes/registry.js';
import { RunningService } from '../../../fakes/service.js';
import { until } from '../../../fakes/until.js';
import { admit, metric } from '../../loopback/world.js';

const IMAGES = 30;
/** A script for Node's `--require` that sets all clocks of the process except monotonic ones an hour ahead. */
const AN_HOUR_AHEAD = `
const now = Date.now;
Date.now = () => now() + 3_600_000;
const Real = Date;
globalThis.Date = class extends Real {
  constructor(...args) { if (args.length === 0) super(Date.now()); else super(...args); }
};
`;

let cluster: FakeCluster;
let source: FakeRegistry;
let target: FakeRegistry;
let redis: RedisServer;
let folder: string;
let services: RunningService[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-services-'));
  cluster = await FakeCluster.start();
  source = await FakeRegistry.start();
  target = await FakeRegistry.start();
  redis = await RedisServer.start();
  await writeFile(join(folder, 'kubeconfig'), cluster.kubeconfig());
  await writeFile(join(folder, 'ahead.cjs'), AN_HOUR_AHEAD);
  services = [];
});
afterEach(async () => {
  await Promise.all(services.map((service) => service.stop('SIGKILL')));
  await Promise.all([cluster.close(), source.close(), target.close(), redis.stop()]);
  await rm(folder, { recursive: true, force: true });
});

async function start(
  name: string,
  env: Readonly<Record<string, string>> = {},
  queue: object = { url: redis.url },
): Promise<RunningService> {
  const config = stringify({
    target: { type: 'oci', oci: { registry: target.host, insecure: true } },
    source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
    queue: { type: 'redis', ...queue },
  });
  const service = await RunningService.start({
    config,
    plain: true,
    env: { KUBECONFIG: join(folder, 'kubeconfig'), POD_NAME: name, ...env },
  });
  services.push(service);
  return service;
}

/** Waits until every service knows of all. */
function allConnected(): Promise<void> {
  return until('all are connected', async () =>
    (await Promise.all(services.map((service) => metric(service, 'image_swapper_queue_server_replicas')))).every(
      (count) => count === services.length,
    ),
  );
}

/** Returns how often the lease of each stored job has expired, as another client sees it. */
async function stalledCounts(): Promise<number[]> {
  const queue = new Queue('copies', { connection: { url: redis.url }, prefix: 'image_swapper' });
  try {
    return (await queue.getJobs()).map(({ stalledCounter }) => stalledCounter);
  } finally {
    await queue.close();
  }
}

const path = (name: string): string => `${source.host.replace(':', '_')}/${name}`;
const isMirrored = (name: string): boolean => target.manifest(path(name), '1') !== undefined;

/** The number of requests that finished a blob or manifest in the target, by path. */
function finished(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { method, path: at, query, status } of target.accessLog) {
    const isManifest = at.includes('/manifests/');
    const digest = /digest=([^&]+)/.exec(query)?.[1];
    if (method !== 'PUT' || status >= 300 || (!isManifest && digest === undefined)) continue;
    const what = isManifest ? at : `${at.slice(0, at.indexOf('/blobs/'))} ${digest ?? ''}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return counts;
}

describe('three services with a queue in Redis', () => {
  it('copy each image once, although the leader is killed and one clock is an hour ahead', async () => {
    const images = Array.from({ length: IMAGES }, (_, index) => `app-${index}`);
    images.forEach((name, seed) => {
      loadImage(
        source,
        name,
        buildImage({ seed, layersPerPlatform: 2, layerSize: 30_000, platforms: ['linux/amd64'] }),
        '1',
      );
    });
    source.fault({ method: 'GET', path: '/blobs/', action: { type: 'slow', bytesPerSecond: 30_000 } });
    await Promise.all([start('a'), start('b', { NODE_OPTIONS: `--require ${join(folder, 'ahead.cjs')}` }), start('c')]);
    // A replica that connects late would find nothing left to copy.
    await allConnected();
    images.forEach((name, index) => {
      cluster.collection('/api/v1/pods').put(smallPod(name, `${source.host}/${name}:1`, `team-${index % 3}`));
    });
    await until('some are copied', () => images.filter(isMirrored).length >= 5);
    const leads = await Promise.all(services.map((service) => metric(service, 'image_swapper_leader')));
    const leader = services[leads.indexOf(1)];
    const others = services.filter((service) => service !== leader);
    const atTarget = { registry: target.host };
    await until('all three copy', async () => {
      const requests = services.map((service) => metric(service, 'image_swapper_registry_requests_total', atTarget));
      return (await Promise.all(requests)).every((count) => count > 0);
    });
    await leader?.stop('SIGKILL');
    await until('all are copied', () => images.every(isMirrored));
    expect([...finished()].filter(([, times]) => times > 1)).toEqual([]);
    for (const other of others) expect((await get(`${other.operations}/readyz`)).status).toBe(200);
  });

  it.each([
    { ends: 'is killed, after its lease', signal: 'SIGKILL', expiredLeases: 1 },
    { ends: 'is stopped and hands it back', signal: 'SIGTERM', expiredLeases: 0 },
  ] as const)('complete the copy of a replica that $ends', async ({ signal, expiredLeases }) => {
    loadImage(source, 'app', buildImage({ layerSize: 60_000, platforms: ['linux/amd64'] }), '1');
    // The first copy never ends by itself.
    source.fault({ method: 'GET', path: '/blobs/', times: 1, action: { type: 'slow', bytesPerSecond: 1 } });
    await Promise.all([start('a'), start('b')]);
    await allConnected();
    cluster.collection('/api/v1/pods').put(smallPod('app', `${source.host}/app:1`, 'team-a'));
    const atSource = { registry: source.host };
    const requests = () =>
      Promise.all(services.map((one) => metric(one, 'image_swapper_registry_requests_total', atSource)));
    const isRead = (): boolean => source.requests().some((line) => line.includes('/blobs/'));
    await until('one copies', async () => isRead() && (await requests()).some((count) => count > 0));
    const counts = await requests();
    expect(counts.filter((count) => count > 0)).toHaveLength(1);
    const [taker, other] = counts[0] === 0 ? [services[1], services[0]] : services;
    await taker?.stop(signal);
    await until('it is copied', () => isMirrored('app'));
    expect((await get(`${other?.operations ?? ''}/readyz`)).status).toBe(200);
    expect(await stalledCounts()).toEqual([expiredLeases]);
    expect([...finished()].filter(([, times]) => times > 1)).toEqual([]);
  });

  it('divide the remaining pulls of the source', async () => {
    const images = Array.from({ length: 15 }, (_, index) => `app-${index}`);
    images.forEach((name, seed) => loadImage(source, name, buildImage({ seed, platforms: ['linux/amd64'] }), '1'));
    const refused = limitPulls(source, 3);
    await Promise.all([start('a'), start('b'), start('c')]);
    await allConnected();
    images.forEach((name, index) => {
      cluster.collection('/api/v1/pods').put(smallPod(name, `${source.host}/${name}:1`, `team-${index % 3}`));
    });
    await until('all are copied', () => images.every(isMirrored));
    expect(refused()).toBe(0);
  });

  it('use a rotated password without a restart, from a Secret that the kubelet mounts', async () => {
    const guarded = await RedisServer.start({ requirepass: 'before' });
    const mount = join(folder, 'queue');
    /** Writes a version of the Secret, and switches to it as the kubelet does. */
    const write = async (version: string, password: string): Promise<void> => {
      await mkdir(join(mount, version), { recursive: true });
      await writeFile(join(mount, version, 'password'), password);
      await symlink(version, join(mount, 'new'));
      await rename(join(mount, 'new'), join(mount, '..data'));
    };
    try {
      await write('..1', 'before');
      await symlink('..data/password', join(mount, 'password'));
      const one = await start('a', {}, { url: guarded.url, passwordFile: join(mount, 'password') });
      const isUp = async (): Promise<boolean> => (await metric(one, 'image_swapper_queue_server_up')) === 1;
      await until('it is connected', isUp);
      await guarded.ask((client) => client.config('SET', 'requirepass', 'after'));
      await guarded.ask((client) => client.call('CLIENT', 'KILL', 'TYPE', 'normal'), 'after');
      await until('it is rejected', async () => !(await isUp()));
      await write('..2', 'after');
      await until('it is connected again', isUp);
      loadImage(source, 'app', buildImage(), '1');
      cluster.collection('/api/v1/pods').put(smallPod('app', `${source.host}/app:1`, 'team-a'));
      await until('it copies', () => isMirrored('app'));
      const stored = await guarded.ask((client) => client.keys('image_swapper:copies:*'), 'after');
      expect(stored.length).toBeGreaterThan(0);
      expect(JSON.stringify(one.log)).not.toMatch(/"(?:before|after)"/);
    } finally {
      await guarded.stop();
    }
  });

  it('read the URL from a Secret, and again when its password is rejected', async () => {
    const guarded = await RedisServer.start({ requirepass: 'before' });
    const write = (password: string): void => {
      const url = Buffer.from(`${guarded.url.replace('//', `//:${password}@`)}/0\n`).toString('base64');
      const metadata = { name: 'queue-url', namespace: 'image-swapper', resourceVersion: password };
      cluster.putObject('/api/v1/namespaces/image-swapper/secrets/queue-url', {
        ...{ apiVersion: 'v1', kind: 'Secret', metadata },
        data: { url },
      });
    };
    try {
      write('before');
      const one = await start('a', {}, { secretName: 'queue-url' });
      const isUp = async (): Promise<boolean> => (await metric(one, 'image_swapper_queue_server_up')) === 1;
      await until('it is connected', isUp);
      write('after');
      await guarded.ask((client) => client.config('SET', 'requirepass', 'after'));
      await guarded.ask((client) => client.call('CLIENT', 'KILL', 'TYPE', 'normal'), 'after');
      const list = (): Promise<string> => guarded.ask((client) => client.client('LIST').then(String), 'after');
      await until('it has connections again', async () => / name=\S+/.test(await list()));
      await until('it is connected again', isUp);
      expect(JSON.stringify(one.log)).not.toMatch(/:(?:before|after)@/);
    } finally {
      await guarded.stop();
    }
  });

  it.each([
    ['is killed', () => redis.kill()],
    ['hangs', () => Promise.resolve(redis.hang())],
  ])('continue when Redis %s, remain ready, and report it', async (_, end) => {
    const [one] = await Promise.all([start('a'), start('b')]);
    await until('both are connected', async () =>
      (await Promise.all(services.map((service) => metric(service, 'image_swapper_queue_server_up')))).every(
        (up) => up === 1,
      ),
    );
    await end();
    loadImage(source, 'late', buildImage(), '1');
    cluster.collection('/api/v1/pods').put(smallPod('late', `${source.host}/late:1`, 'team-a'));
    await until('it is copied', () => isMirrored('late'));
    await until('the metric', async () => (await metric(one, 'image_swapper_queue_server_up')) === 0);
    for (const service of services) expect((await get(`${service.operations}/readyz`)).status).toBe(200);
    expect([...finished()].filter(([, times]) => times > 1)).toEqual([]);
    await until('the Event', () => cluster.events.some((event) => event.reason === 'QueueServerLost'));
  });

  // A server that hangs keeps its connections open and answers nothing: a request to it never ends. No copy ends either
  // before all admissions are answered.
  it.each([
    ['is killed', () => redis.kill()],
    ['hangs', () => Promise.resolve(redis.hang())],
    ['is emptied', () => redis.ask((client) => client.flushall())],
  ])('answer admissions at once when Redis %s, and copy what these asked for', async (_, end) => {
    let release = (): void => undefined;
    const answered = new Promise<void>((resolve) => (release = resolve));
    source.fault({ path: '/blobs/', action: { type: 'wait', until: answered } });
    await Promise.all([start('a'), start('b')]);
    await allConnected();
    const names = Array.from({ length: 10 }, (_, index) => `app-${index}`);
    for (const [seed, name] of names.entries())
      loadImage(source, name, buildImage({ seed, platforms: ['linux/amd64'] }), '1');
    await end();
    const imageOf = (name: string): string => `${source.host}/${name}:1`;
    const answers = services.flatMap((service) =>
      names.map(async (name) => (await admit(service, { app: imageOf(name) }))['app']),
    );
    // Nothing is mirrored yet, so each Pod keeps its image.
    expect(await Promise.all(answers)).toEqual(services.flatMap(() => names.map(imageOf)));
    release();
    const pods = cluster.collection('/api/v1/pods');
    for (const name of names) pods.put(smallPod(name, imageOf(name), 'team-a'));
    await until('the copies', () => names.every(isMirrored));
    for (const service of services) {
      await until('the image in the target is named', async () => {
        const { app } = await admit(service, { app: imageOf('app-0') });
        return app === `${target.host}/${path('app-0')}:1`;
      });
    }
    expect([...finished()].filter(([, times]) => times > 1)).toEqual([]);
  });
});
