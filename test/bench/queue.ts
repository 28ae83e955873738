/**
 * Measures replicas that share copies through Redis: 10,000 jobs from 5,000 images while one of three replicas is
 * killed every 20 s; the throughput of three replicas and of one Lease holder over connections of 2 MB/s; and the
 * memory of Redis for each job. `npx tsx test/bench/queue.ts [images [memory] [throughput] [kills]]`
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { stringify } from 'yaml';
import { bodyOf, jobId } from '../../extension-service/src/shared-queue/job-body.js';
import { post } from '../fakes/https-client.js';
import { RedisServer } from '../fakes/redis.js';
import { RunningService } from '../fakes/service.js';
import { until } from '../fakes/until.js';
import type { QueueWorldCounts, QueueWorldRequest, QueueWorldStarted } from './queue-world.js';
import { printTable, quantile } from './table.js';

const IMAGES = Number(process.argv[2] ?? 5_000);
/** The parts to run; all by default. */
const PARTS = process.argv.slice(3);
const TAGS = ['1', '2'];
const KILL_EVERY_MS = 20_000;
const ADMISSION_PAUSE_MS = 20;
const EMPTY_RUN_MS = 20_000;
const MAX_SECONDS = 1_200;
/** Images, layer size and bandwidth of the throughput runs. */
const [SLOW_IMAGES, SLOW_LAYER, BYTES_PER_SECOND] = [48, 12_000_000, 2_000_000];

class World {
  private constructor(
    private readonly child: ReturnType<typeof fork>,
    readonly at: QueueWorldStarted,
    private readonly folder: string,
    readonly redis: RedisServer,
  ) {}

  static async start(request: Omit<Extract<QueueWorldRequest, { type: 'start' }>, 'type'>): Promise<World> {
    const child = fork(fileURLToPath(new URL('queue-world.ts', import.meta.url)), { execArgv: ['--import', 'tsx'] });
    child.send({ type: 'start', ...request });
    const [at] = (await once(child, 'message')) as [QueueWorldStarted];
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-bench-queue-'));
    await writeFile(join(folder, 'kubeconfig'), at.kubeconfig);
    return new World(child, at, folder, await RedisServer.start());
  }

  service(name: string, queue: object): Promise<RunningService> {
    const { source, target } = this.at;
    const config = stringify({
      target: { type: 'oci', oci: { registry: target, insecure: true } },
      source: { registries: [{ type: 'oci', oci: { registry: source, insecure: true } }] },
      mirror: { referrers: false },
      queue,
    });
    const env = { KUBECONFIG: join(this.folder, 'kubeconfig'), POD_NAME: name };
    return RunningService.start({ config, plain: true, env });
  }

  get shared(): object {
    return { type: 'redis', url: this.redis.url };
  }

  async requestTags(tags: readonly string[]): Promise<void> {
    this.child.send({ type: 'use', tags });
    await once(this.child, 'message');
  }

  async count(): Promise<QueueWorldCounts> {
    this.child.send({ type: 'count' });
    const [counts] = (await once(this.child, 'message')) as [QueueWorldCounts];
    return counts;
  }

  async stop(services: readonly RunningService[]): Promise<void> {
    await Promise.all(services.map((service) => service.stop('SIGKILL')));
    this.child.kill();
    await this.redis.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Sends admissions of a Pod to the running replicas in turn, until the signal. @returns milliseconds of each */
async function admissions(urls: () => readonly string[], image: string, signal: AbortSignal): Promise<number[]> {
  const latencies: number[] = [];
  for (let turn = 0; !signal.aborted; turn += 1) {
    const runningUrls = urls();
    const url = runningUrls[turn % runningUrls.length];
    if (url !== undefined) {
      const object = { kind: 'Pod', metadata: { name: 'web' }, spec: { containers: [{ name: 'app', image }] } };
      const request = { uid: 'u', namespace: 'team-a', operation: 'CREATE', dryRun: true, object };
      const started = performance.now();
      const answered = await post(`${url}/v1/kyverno`, JSON.stringify({ request })).then(
        ({ status }) => status === 200,
        () => false,
      );
      if (answered) latencies.push(performance.now() - started);
    }
    await sleep(ADMISSION_PAUSE_MS);
  }
  return latencies;
}

async function killReplicas(): Promise<void> {
  const world = await World.start({ images: IMAGES, layerSize: 2_000 });
  const services = await Promise.all(['a', 'b', 'c'].map((name) => world.service(name, world.shared)));
  let down = -1;
  let killed = 0;
  const runningUrls = (): string[] => services.flatMap(({ url }, index) => (index === down ? [] : [url]));
  const image = `${world.at.source}/app-0:1`;
  try {
    const empty = await admissions(runningUrls, image, AbortSignal.timeout(EMPTY_RUN_MS));
    const over = new AbortController();
    await world.requestTags(TAGS);
    const started = performance.now();
    const loaded = admissions(runningUrls, image, over.signal);
    const killedAt: number[] = [];
    const killing = setInterval(() => {
      down = killed % services.length;
      killed += 1;
      killedAt.push(Date.now());
      const index = down;
      void services[index]?.stop('SIGKILL').then(async () => {
        services[index] = await world.service(`${'abc'.charAt(index)}-${killed}`, world.shared);
        down = -1;
      });
    }, KILL_EVERY_MS);
    const jobs = IMAGES * TAGS.length;
    const done = async (): Promise<boolean> => (await world.count()).mirrored === jobs;
    await until('all are mirrored', done, MAX_SECONDS).catch(() => undefined);
    clearInterval(killing);
    over.abort();
    const mirrored = (await world.count()).mirrored;
    // Images that are still not mirrored without further kills are lost.
    await until('the rest is mirrored', done, MAX_SECONDS).catch(() => undefined);
    const seconds = (performance.now() - started) / 1_000;
    const [counts, latencies] = [await world.count(), await loaded];
    printTable(
      ['', 'figure'],
      [
        ['jobs', jobs],
        ['mirrored while replicas were killed', mirrored],
        ['lost', jobs - counts.mirrored],
        ['replicas killed', killed],
        ['seconds', Math.round(seconds)],
        ['manifests and tags put twice', counts.duplicateManifests],
        ['blobs completed twice', counts.duplicateBlobs],
        ['admission p99 ms, empty queue', quantile(empty, 0.99)],
        ['admission p99 ms, full queue', quantile(latencies, 0.99)],
        ['ratio (at most 3)', quantile(latencies, 0.99) / quantile(empty, 0.99)],
      ],
    );
    for (const { what, times } of counts.twice) {
      const before = killedAt.filter((at) => at < Math.max(...times)).at(-1) ?? 0;
      console.log(
        `twice: ${what}, ${Math.max(...times) - Math.min(...times)} ms apart, ${Math.max(...times) - before} ms after a kill`,
      );
    }
  } finally {
    await world.stop(services);
  }
}

async function throughput(replicas: number, isShared: boolean): Promise<number> {
  const world = await World.start({ images: SLOW_IMAGES, layerSize: SLOW_LAYER, bytesPerSecond: BYTES_PER_SECOND });
  const names = Array.from({ length: replicas }, (_, index) => `replica-${index}`);
  const queue = isShared ? world.shared : { type: 'memory' };
  const services = await Promise.all(names.map((name) => world.service(name, queue)));
  try {
    // This is enough time to elect a leader and to open all connections.
    await sleep(15_000);
    const [idle, started] = [idleTime(), performance.now()];
    await world.requestTags(['1']);
    await until('all are mirrored', async () => (await world.count()).mirrored === SLOW_IMAGES, MAX_SECONDS);
    const seconds = (performance.now() - started) / 1_000;
    const idlePercent = ((idleTime() - idle) / (seconds * 1_000 * cpus().length)) * 100;
    console.log(
      `${replicas} replicas, ${isShared ? 'redis' : 'memory'}: ${seconds.toFixed(1)} s, CPU idle ${Math.round(idlePercent)} %`,
    );
    return (SLOW_IMAGES * SLOW_LAYER) / 1e6 / seconds;
  } finally {
    await world.stop(services);
  }
}

function idleTime(): number {
  return cpus().reduce((sum, { times }) => sum + times.idle, 0);
}

async function memory(): Promise<void> {
  const redis = await RedisServer.start();
  const queue = new Queue('copies', {
    connection: { url: redis.url },
    prefix: 'image_swapper',
    streams: { events: { maxLen: 2_000 } },
  });
  const used = (): Promise<number> =>
    redis.ask(async (client) => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1] ?? 0));
  try {
    await queue.waitUntilReady();
    const before = await used();
    for (let index = 0; index < 10_000; index += 1) {
      const repository = `registry.example.com/a-team/of-the-company/service-${index}`;
      const text = `123456789012.dkr.ecr.eu-central-1.amazonaws.com/mirror/${repository}:1.2.3`;
      const job = {
        key: `${text} all`,
        source: `${repository}:1.2.3`,
        target: 'default',
        reference: { registry: '', repository, tag: '1.2.3', shownAs: '1.2.3', published: '1.2.3', text },
        platforms: 'all' as const,
        force: false,
        pull: { namespace: 'team-of-the-company', serviceAccount: 'default', secretNames: ['pull-secret'] },
      };
      await queue.add('copy', bodyOf(job), {
        jobId: jobId(job),
        removeOnComplete: { age: 60, count: 500 },
        removeOnFail: true,
      });
    }
    console.log(
      `Redis: ${Math.round(((await used()) - before) / 10_000)} bytes for each of 10,000 jobs (at most 2,048)`,
    );
  } finally {
    await queue.close();
    await redis.stop();
  }
}

const isWanted = (part: string): boolean => PARTS.length === 0 || PARTS.includes(part);
if (isWanted('memory')) await memory();
if (isWanted('throughput')) {
  const alone = await throughput(3, false);
  const shared = await throughput(3, true);
  console.log(
    `one Lease holder ${alone.toFixed(1)} MB/s, three replicas ${shared.toFixed(1)} MB/s: ${(shared / alone).toFixed(2)} times (at least 2.2)`,
  );
}
if (isWanted('kills')) await killReplicas();
process.exit(0);
