import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Queue } from 'bullmq';
import type { FakeCluster } from '../../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../../fakes/cluster/pods.js';
import { get } from '../../../fakes/https-client.js';
import { buildImage, loadImage } from '../../../fakes/images.js';
import { limitPulls } from '../../../fakes/pull-budget.js';
import { RedisServer } from '../../../fakes/redis.js';
import type { FakeRegistry } from '../../../fakes/registry.js';
import type { RunningService } from '../../../fakes/service.js';
import { until } from '../../../fakes/until.js';
import { metric } from '../../loopback/world.js';
import { QueueServices } from './queue-services.js';

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

let world: QueueServices;
let cluster: FakeCluster;
let source: FakeRegistry;
let redis: RedisServer;
let folder: string;
let services: readonly RunningService[];

beforeEach(async () => {
  world = await QueueServices.start();
  ({ cluster, source, folder, services } = world);
  redis = await RedisServer.start();
  await writeFile(join(folder, 'ahead.cjs'), AN_HOUR_AHEAD);
});
afterEach(async () => {
  await world.close();
  await redis.stop();
});

const isMirrored = (name: string): boolean => world.isMirrored(name);
const start = (name: string, env = {}, queue: object = { url: redis.url }): Promise<RunningService> =>
  world.serve(name, { type: 'redis', ...queue }, env);

/** Returns how often the lease of each stored job has expired, as another client sees it. */
async function stalledCounts(): Promise<number[]> {
  const queue = new Queue('copies', { connection: { url: redis.url }, prefix: 'image_swapper' });
  try {
    return (await queue.getJobs()).map(({ stalledCounter }) => stalledCounter);
  } finally {
    await queue.close();
  }
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
    await world.allConnected();
    images.forEach((name, index) => {
      cluster.collection('/api/v1/pods').put(smallPod(name, `${source.host}/${name}:1`, `team-${index % 3}`));
    });
    await until('some are copied', () => images.filter(isMirrored).length >= 5);
    const leads = await Promise.all(services.map((service) => metric(service, 'image_swapper_leader')));
    const leader = services[leads.indexOf(1)];
    const others = services.filter((service) => service !== leader);
    const atTarget = { registry: world.target.host };
    await until('all three copy', async () => {
      const requests = services.map((service) => metric(service, 'image_swapper_registry_requests_total', atTarget));
      return (await Promise.all(requests)).every((count) => count > 0);
    });
    await leader?.stop('SIGKILL');
    await until('all are copied', () => images.every(isMirrored));
    expect([...world.finished()].filter(([, times]) => times > 1)).toEqual([]);
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
    await world.allConnected();
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
    expect([...world.finished()].filter(([, times]) => times > 1)).toEqual([]);
  });

  it('divide the remaining pulls of the source', async () => {
    const images = Array.from({ length: 15 }, (_, index) => `app-${index}`);
    images.forEach((name, seed) => loadImage(source, name, buildImage({ seed, platforms: ['linux/amd64'] }), '1'));
    const refused = limitPulls(source, 3);
    await Promise.all([start('a'), start('b'), start('c')]);
    await world.allConnected();
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
});
