import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { jobId, bodyOf } from '../../../../extension-service/src/shared-queue/job-body.js';
import { LEASE_OPTIONS } from '../../../../extension-service/src/shared-queue/lease.js';
import { until } from '../../../fakes/until.js';
import { OUTCOME, failure } from '../../../unit/mirror/queue-world.js';
import { Replica, endAll, imageJob } from './replica.js';
import type { ReplicaOptions } from './replica.js';
import { SERVERS } from './queue-servers.js';
import type { QueueServer } from './queue-servers.js';

describe.each(['redis', 'postgres'] as const)('replicas with a queue in %s', (type) => {
  let server: QueueServer;
  let prefix = '';
  let number = 0;
  let replicas: Replica[] = [];

  beforeAll(async () => (server = await SERVERS[type]()));
  afterAll(() => server.stop());
  afterEach(async () => {
    await Promise.all(replicas.map((replica) => replica.drain()));
    replicas = [];
  });

  /** Starts this many replicas with a separate queue. */
  async function start(count: number, options: ReplicaOptions = {}): Promise<Replica[]> {
    number += 1;
    prefix = `case_${number}`;
    return more(count, options);
  }

  async function more(count: number, options: ReplicaOptions = {}): Promise<Replica[]> {
    const queue = { type, prefix, url: server.url };
    const started = Array.from({ length: count }, () => new Replica(queue, options));
    replicas.push(...started);
    await Promise.all(started.map((replica) => replica.connected()));
    return started;
  }

  const names = (): string[] => replicas.flatMap(({ held }) => held.names);

  it('makes one copy of each image, for any number of requesting replicas', async () => {
    await start(3);
    const jobs = Array.from({ length: 12 }, (_, index) => imageJob(`app-${index}`));
    const asked = replicas.flatMap((replica) => jobs.map((one) => replica.ask(one)));
    await until(
      'every image is taken',
      async () => (await server.read(prefix, (queue) => queue.getActiveCount())) === jobs.length,
    );
    // Each replica has four slots. One that waited for the machine may find that another took an image in advance.
    await until('the slots of two replicas are used', () => names().length >= 8);
    expect(replicas.filter(({ held }) => held.started.length > 4)).toEqual([]);
    expect(new Set(names()).size).toBe(names().length);
    expect(new Set(await endAll(replicas, Promise.all(asked)))).toEqual(new Set([OUTCOME.digest]));
  });

  it('counts the replicas that copy, and itself alone without a queue server', async () => {
    const [leaving, ...others] = await start(3);
    await until('each knows all', () => replicas.every((one) => one.replicas === 3));
    leaving?.leaveQueue();
    expect(leaving?.replicas).toBe(1);
    await until('the others see it leave', () => others.every((one) => one.replicas === 2));
  });

  it('takes at most four jobs for each slot', async () => {
    const [replica] = await start(1, { concurrency: 2 });
    const asked = Array.from({ length: 20 }, async (_, index) => replica?.ask(imageJob(`app-${index}`)));
    await until('the slots are used', () => names().length === 2);
    await until(
      'all are stored',
      async () => (await server.read(prefix, (queue) => queue.getJobCountByTypes('waiting', 'active'))) === 20,
    );
    // No copy ends, so the replica looks for images of other registries.
    await until(
      'it has taken jobs in advance',
      async () => (await server.read(prefix, (queue) => queue.getActiveCount())) === 8,
    );
    expect(names()).toHaveLength(2);
    await endAll(replicas, Promise.all(asked));
  });

  it.each([
    ['succeeded', OUTCOME.digest],
    ['failed', 'absent'],
  ])('copies a requested image again after a copy that %s', async (_, expected) => {
    const [replica] = await start(1);
    for (const round of [1, 2]) {
      const asked = replica?.ask(imageJob('app'));
      await until('the copy begins', () => names().length === round);
      const copy = replica?.held.started.at(-1);
      if (expected === 'absent') copy?.fail(failure('absent', false));
      else copy?.end();
      expect(await asked).toBe(expected);
    }
    expect(await server.read(prefix, (queue) => queue.getJobCountByTypes('failed', 'wait', 'active'))).toBe(0);
  });

  it('ends only the copies of a registry on all replicas while its Retry-After lasts', async () => {
    const [asking, other] = await start(2, { concurrency: 1 });
    // One copy runs at each replica, and the others are stored.
    const asked = Array.from({ length: 8 }, async (_, index) => asking?.ask(imageJob(`app-${index}`)));
    await until('both copy', () => asking?.held.started.length === 1 && other?.held.started.length === 1);
    other?.held.started[0]?.fail(failure('throttled', true, { host: 'docker.io', retryAfter: 60_000 }));
    // One copy has begun before.
    await until('the others have ended', async () => {
      return (await server.read(prefix, (queue) => queue.getJobCountByTypes('wait', 'active'))) === 1;
    });
    expect(names()).toHaveLength(2);
    expect(await endAll(replicas, Promise.all(asked))).toEqual(
      expect.arrayContaining([OUTCOME.digest, ...Array.from({ length: 7 }, () => 'throttled')]),
    );
    const elsewhere = imageJob('elsewhere', 'latest', 'ghcr.io');
    expect(await endAll(replicas, other?.ask(elsewhere) ?? Promise.resolve(''))).toBe(OUTCOME.digest);
    expect(await other?.ask(imageJob('app-0'))).toBe('throttled');
  });

  it('sends the next image of a repository only when the previous one has ended, on any replica', async () => {
    const [one, other] = await start(2);
    const asked = [one, one, other].map(async (replica, index) => replica?.ask(imageJob('app', `${index + 1}`)));
    await until('the first is begun', () => names().length === 1);
    // This is long enough for a second check.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(await server.read(prefix, (queue) => queue.getJobCountByTypes('wait', 'active'))).toBe(1);
    expect(names()).toHaveLength(1);
    await endAll(replicas, Promise.all(asked));
    const tags = replicas.flatMap(({ held }) => held.started.map((copy) => copy.job.reference.tag));
    expect(new Set(tags)).toEqual(new Set(['1', '2', '3']));
  });

  it('hands back jobs at the end that have not started or do not finish in time', async () => {
    const [leaving] = await start(1, { concurrency: 1 });
    const jobs = Array.from({ length: 4 }, (_, index) => imageJob(`app-${index}`));
    await server.read(prefix, (queue) =>
      queue.addBulk(jobs.map((one) => ({ name: 'copy', data: bodyOf(one), opts: { jobId: jobId(one) } }))),
    );
    await until('one job runs and the others are taken, because no job ends', async () => {
      const taken = await server.read(prefix, (queue) => queue.getActiveCount());
      return taken === 4 && names().length === 1;
    });
    const [other] = await more(1);
    await leaving?.drain(0);
    await until('the other replica has all', () => other?.held.started.length === 4);
    expect(new Set(other?.held.names)).toEqual(new Set(['app-0', 'app-1', 'app-2', 'app-3']));
    expect(leaving?.held.started.map(({ signal }) => signal.aborted)).toEqual([true]);
    for (const copy of other?.held.started ?? []) copy.end();
    await until(
      'nothing is left',
      async () => (await server.read(prefix, (queue) => queue.getJobCountByTypes('wait', 'active'))) === 0,
    );
  });

  it('takes over the job of a replica that was killed during the copy', async () => {
    number += 1;
    prefix = `case_${number}`;
    const job = imageJob('app');
    const killed = server.worker(prefix, LEASE_OPTIONS);
    await server.read(prefix, (queue) => queue.add('copy', bodyOf(job), { jobId: jobId(job) }));
    // Like a killed process, it has a lease which it neither renews nor returns.
    expect((await killed.getNextJob('killed', { block: false }))?.id).toBe(jobId(job));
    await killed.close(true);
    const [other] = await more(1);
    const asked = other?.ask(job);
    await until('the other replica begins the copy', () => other?.held.names.includes('app') === true);
    expect(await endAll(replicas, asked ?? Promise.resolve(''))).toBe(OUTCOME.digest);
    expect(other?.held.names).toEqual(['app']);
  });

  it('makes all copies although the server loses every job', async () => {
    const [asking] = await start(2, { concurrency: 1 });
    const images = Array.from({ length: 6 }, (_, index) => `app-${index}`);
    const asked = images.map(async (name) => asking?.ask(imageJob(name)));
    await until('both copy', () => names().length === 2);
    await server.empty(prefix);
    expect(await server.read(prefix, (queue) => queue.getJobCountByTypes('wait', 'active'))).toBe(0);
    expect(await endAll(replicas, Promise.all(asked))).toEqual(images.map(() => OUTCOME.digest));
    expect(new Set(names())).toEqual(new Set(images));
  });

  it('drops and reports bodies of other installs', async () => {
    const [replica] = await start(1);
    const good = imageJob('app');
    const body = bodyOf(good);
    const bodies: readonly [string, unknown, RegExp][] = [
      ['c1', 'text', /not an object/],
      ['c2', null, /./],
      ['c3', { ...body, v: 2 }, /version 1/],
      ['c4', { ...body, more: 1 }, /unknown key "more"/],
      ['c5', { ...body, target: 'other' }, /target "other" is not in the configuration/],
      ['c6', { ...body, source: 'evil.test/x:1' }, /is not the name of evil.test\/x:1/],
      ['c7', { ...body, source: '../..' }, /not an image reference/],
      ['c8', { ...body, pull: ['../x', 'default'] }, /pull does not name/],
      ['c9', { ...body, source: 'x'.repeat(70_000) }, /over 65536 characters/],
      ['c10', body, /its id is not that of/],
    ];
    await server.read(prefix, async (queue) => {
      for (const [name, data] of bodies) await queue.add('copy', data, { jobId: name });
    });
    await until('all jobs are taken', () =>
      bodies.every(([, , words]) => replica?.log.some((line) => words.test(line)) === true),
    );
    expect(names()).toEqual([]);
    await until(
      'none is left',
      async () => (await server.read(prefix, (queue) => queue.getJobCountByTypes('wait', 'active', 'failed'))) === 0,
    );
    expect(await endAll(replicas, replica?.ask(imageJob('app')) ?? Promise.resolve(''))).toBe(OUTCOME.digest);
  });

  it('refuses the queue of another running install with a message, and copies alone', async () => {
    await start(1, { install: 'cluster one' });
    const second = new Replica({ type, prefix, url: server.url }, { install: 'cluster two' });
    replicas.push(second);
    await until('the refusal', () => second.report?.isUp === false);
    expect(second.log.join('\n')).toContain(
      `the queue ${prefix} is used by another install (cluster one), and this one is cluster two: set queue.prefix to another name in one of them`,
    );
    expect(await endAll([second], second.ask(imageJob('app')))).toBe(OUTCOME.digest);
    expect(second.held.names).toEqual(['app']);
  });

  it('makes its own copies while the server is down, and shares again afterwards', async () => {
    const [asking, other] = await start(2);
    const before = asking?.ask(imageJob('before'));
    await until('it is begun', () => names().length === 1);
    await server.kill();
    await until('both have noticed', () => replicas.every(({ report }) => report?.isUp === false));
    // The copy with a lease is aborted, and the replica that requested it starts it again.
    await until('the one that asked copies', () => asking?.held.names.includes('before') === true);
    const during = asking?.ask(imageJob('during'));
    expect(await endAll(asking === undefined ? [] : [asking], Promise.all([before, during]))).toEqual([
      OUTCOME.digest,
      OUTCOME.digest,
    ]);
    expect(other?.held.names).not.toContain('during');
    await server.restart();
    await until('both are back', () => replicas.every(({ report }) => report?.isUp === true && report.replicas === 2));
    const after = Array.from({ length: 8 }, async (_, index) => asking?.ask(imageJob(`after-${index}`)));
    await until('both copy', () => other?.held.names.some((name) => name.startsWith('after')) === true);
    await endAll(replicas, Promise.all(after));
  });
});
