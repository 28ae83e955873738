import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { get } from '../../../fakes/https-client.js';
import { HoldingProxy } from '../../../fakes/holding-proxy.js';
import { until } from '../../../fakes/until.js';
import { admit, metric } from '../../loopback/world.js';
import { QueueServices } from './queue-services.js';
import { SERVERS } from './queue-servers.js';
import type { QueueServer } from './queue-servers.js';

/**
 * A script for Node's `--require`: no timer of the process fires while a file exists. An admission that waits, for
 * however short a time, is not answered meanwhile.
 */
const stoppableTimers = (file: string): string => `
const { existsSync } = require('node:fs');
const { promisify } = require('node:util');
const later = globalThis.setTimeout;
const isStopped = () => existsSync(${JSON.stringify(file)});
globalThis.setTimeout = (call, milliseconds, ...args) => {
  const timer = later(() => (isStopped() ? timer.refresh() : call(...args)), milliseconds);
  return timer;
};
const timers = require('node:timers/promises');
const sleep = timers.setTimeout;
timers.setTimeout = async (milliseconds, ...rest) => {
  let value;
  do value = await sleep(milliseconds, ...rest);
  while (isStopped());
  return value;
};
globalThis.setTimeout[promisify.custom] = timers.setTimeout;
const signalAfter = AbortSignal.timeout;
AbortSignal.timeout = (milliseconds) => {
  const abort = new AbortController();
  const check = () => {
    if (isStopped()) signalAfter(milliseconds).addEventListener('abort', check);
    else abort.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
  };
  signalAfter(milliseconds).addEventListener('abort', check);
  return abort.signal;
};
`;

describe.each(['redis', 'postgres'] as const)('services with a queue in %s', (type) => {
  let server: QueueServer;
  let proxy: HoldingProxy;
  let world: QueueServices;
  let stopped: string;

  beforeEach(async () => {
    server = await SERVERS[type]();
    proxy = await HoldingProxy.start(server.address);
    world = await QueueServices.start();
    stopped = join(world.folder, 'stopped');
    const script = join(world.folder, 'timers.cjs');
    await writeFile(script, stoppableTimers(stopped));
    const queue = { type, url: server.urlAt(proxy.port) };
    const env = { NODE_OPTIONS: `--require ${script}` };
    await Promise.all(['a', 'b'].map((name) => world.serve(name, queue, env)));
    await world.allConnected();
  });
  afterEach(async () => {
    await world.close();
    await proxy.close();
    await server.stop();
  });

  it.each([
    ['is killed', () => server.kill()],
    // It keeps its connections open and answers nothing: a request to it never ends.
    ['hangs', () => Promise.resolve(proxy.hold())],
  ])('continue when it %s, remain ready, and report it', async (_, end) => {
    const { services, cluster } = world;
    await end();
    world.load('late');
    world.addPod('late');
    await until('it is copied', () => world.isMirrored('late'));
    await until('the metric', async () => {
      const up = services.map((service) => metric(service, 'image_swapper_queue_server_up'));
      return (await Promise.all(up)).every((value) => value === 0);
    });
    for (const service of services) expect((await get(`${service.operations}/readyz`)).status).toBe(200);
    expect(world.sentTwice()).toEqual([]);
    await until('the Event', () => cluster.events.some((event) => event.reason === 'QueueServerLost'));
  });

  it.each([
    ['is killed', () => server.kill()],
    ['hangs', () => Promise.resolve(proxy.hold())],
    ['is emptied', () => server.empty('image_swapper')],
  ])('answer admissions without a wait when it %s, and copy what these asked for', async (_, end) => {
    const { services, source } = world;
    let release = (): void => undefined;
    const answered = new Promise<void>((resolve) => (release = resolve));
    source.fault({ path: '/blobs/', action: { type: 'wait', until: answered } });
    const names = Array.from({ length: 10 }, (_, index) => `app-${index}`);
    for (const [seed, name] of names.entries()) world.load(name, { seed, platforms: ['linux/amd64'] });
    // No copy ends and no timer fires before all admissions are answered, and a server that hangs answers nothing.
    await writeFile(stopped, '');
    await end();
    const images: string[] = [];
    for (const service of services)
      for (const name of names)
        void admit(service, { app: world.imageOf(name) }).then(
          ({ app = '' }) => images.push(app),
          (error: unknown) => images.push(String(error)),
        );
    await until('all admissions are answered', () => images.length === services.length * names.length);
    // Nothing is mirrored yet, so each Pod keeps its image.
    expect(images.sort()).toEqual(services.flatMap(() => names.map((name) => world.imageOf(name))).sort());
    await rm(stopped);
    release();
    for (const name of names) world.addPod(name);
    await until('the copies', () => names.every((name) => world.isMirrored(name)));
    for (const service of services) {
      await until('the image in the target is named', async () => {
        const { app } = await admit(service, { app: world.imageOf('app-0') });
        return app === `${world.target.host}/${world.path('app-0')}:1`;
      });
    }
    expect(world.sentTwice()).toEqual([]);
  });
});
