/**
 * Measures how much one hostile namespace slows down the others. The attacker requests 10,000 images from hosts that
 * accept connections and never answer, layers of 100 MB at one byte in ten seconds, and the largest manifests that a
 * copy may have, and keeps 40 large bodies open. Another namespace then requests 50 images, while Pods with mirrored
 * images are admitted. Rounds with and without the attacker alternate. Prints medians. `npx tsx
 * test/bench/hostile-namespace.ts [rounds] [share of the attack, 1 for all of it]`
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { RunningService } from '../fakes/service.js';
import { get, post } from '../fakes/https-client.js';
import { until } from '../fakes/until.js';
import type { HostileRegistries, HostileRegistriesRequest } from './hostile-registries.js';
import type { SlowBodiesRequest } from './slow-bodies.js';
import { watchProcess } from './process-stats.js';
import { median, printTable, quantile } from './table.js';

const GOOD_IMAGES = 50;
const HANGING_REFERENCES = 10_000;
const CONTAINERS_PER_POD = 500;
const SLOW_BODIES = 40;
const BODY_BYTES = 4_000_000;
/** The client for the admissions of others, which sends one after another like one replica of an engine. */
const ADMISSION_PAUSE_MS = 20;
/**
 * Interval between two checks for the good images, which query the target, so that they do not cost the service
 * anything.
 */
const POLL_MS = 200;
/**
 * Delay before a rejected slow body is sent again: the attacker shares the machine's cores with the measured service.
 */
const BODY_PAUSE_MS = 1_000;
/** Time limit of the good copies in seconds. */
const MAX_MIRROR_SECONDS = 240;

const SHARE = Number(process.argv[3] ?? 1);

interface Figures {
  readonly mirrorSeconds: number;
  readonly p50: number;
  readonly p99: number;
  readonly refused: number;
  readonly peakMiB: number;
}

async function run(rounds: number): Promise<void> {
  const quiet: Figures[] = [];
  const attacked: Figures[] = [];
  for (let round = 0; round < rounds; round += 1) {
    quiet.push(await measure(false));
    attacked.push(await measure(true));
  }
  const of = (all: readonly Figures[], key: keyof Figures): number => median(all.map((figures) => figures[key]));
  const row = (name: string, key: keyof Figures): (string | number)[] => [
    name,
    of(quiet, key),
    of(attacked, key),
    of(attacked, key) / of(quiet, key),
  ];
  console.log(`medians of ${rounds} rounds`);
  printTable(
    ['', 'alone', 'attacked', 'ratio'],
    [
      row(`s until ${GOOD_IMAGES} images are mirrored`, 'mirrorSeconds'),
      row('admission p50 ms', 'p50'),
      row('admission p99 ms', 'p99'),
      row('peak MiB', 'peakMiB'),
      ['admissions of others that failed', of(quiet, 'refused'), of(attacked, 'refused'), ''],
    ],
  );
}

async function measure(isAttacked: boolean): Promise<Figures> {
  const { child, registries } = await startRegistries();
  const hanging = await startHanging();
  const service = await RunningService.start({ config: configuration(registries), plain: true });
  const memory = watchProcess(service.process.pid ?? 0);
  const attack = new Attack(service.url, registries, hanging.port);
  const ended = new AbortController();
  try {
    if (isAttacked) await attack.start();
    const admissions = admit(service.url, `${registries.good}/good/app-0:1.0`, ended.signal);
    const started = performance.now();
    for (let i = 0; i < GOOD_IMAGES; i += 1) {
      await review(service.url, 'good', [`${registries.good}/good/app-${i}:1.0`]);
    }
    const missing = new Set(Array.from({ length: GOOD_IMAGES }, (_, n) => n));
    await until(
      'the images of the good namespace are mirrored',
      () => areMirrored(registries, missing),
      MAX_MIRROR_SECONDS,
    );
    const mirrorSeconds = (performance.now() - started) / 1_000;
    // This is long enough for a p99, even if the copies take only a second.
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    ended.abort();
    const { latencies, refused } = await admissions;
    const slowest = latencies.slice(-5).map(Math.round).join(' ');
    console.error(
      `${isAttacked ? 'attacked' : 'alone'}: ${mirrorSeconds.toFixed(1)} s, ${latencies.length} admissions, slowest ms ${slowest}`,
    );
    return {
      mirrorSeconds,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      refused,
      peakMiB: memory.stop().peakRss,
    };
  } finally {
    ended.abort();
    attack.stop();
    await service.stop('SIGKILL');
    hanging.close();
    child.kill();
  }
}

/** Starts one hostile namespace at full load. */
class Attack {
  private bodies: ChildProcess | undefined;

  constructor(
    private readonly url: string,
    private readonly registries: HostileRegistries,
    private readonly hangingPort: number,
  ) {}

  async start(): Promise<void> {
    const { dripping, large } = this.registries;
    const drips = dripping.flatMap((host) => [0, 1].map((n) => `${host}/evil/drip-${n}:1.0`));
    await review(this.url, 'evil', drips);
    await review(
      this.url,
      'evil',
      [0, 1].map((n) => `${large}/evil/large-${n}:1.0`),
    );
    for (let first = 0; first < HANGING_REFERENCES * SHARE; first += CONTAINERS_PER_POD) {
      const images = Array.from({ length: CONTAINERS_PER_POD }, (_, n) => this.hangingImage(first + n));
      await review(this.url, 'evil', images);
    }
    await this.holdBodies();
    await new Promise((resolve) => setTimeout(resolve, 2_000));
  }

  stop(): void {
    this.bodies?.kill();
  }

  /** Each image is on a separate host. All of 127.1.0.0/16 leads to the listener. */
  private hangingImage(n: number): string {
    return `127.1.${Math.floor(n / 250)}.${(n % 250) + 1}:${this.hangingPort}/evil/app:1`;
  }

  private async holdBodies(): Promise<void> {
    const file = fileURLToPath(new URL('slow-bodies.ts', import.meta.url));
    this.bodies = fork(file, { execArgv: ['--import', 'tsx'] });
    const started = new Promise((resolve) => this.bodies?.once('message', resolve));
    const request: SlowBodiesRequest = {
      url: this.url,
      count: SLOW_BODIES * SHARE,
      bytes: BODY_BYTES,
      pause: BODY_PAUSE_MS,
    };
    this.bodies.send(request);
    await started;
  }
}

async function startRegistries(): Promise<{ readonly child: ChildProcess; readonly registries: HostileRegistries }> {
  const file = fileURLToPath(new URL('hostile-registries.ts', import.meta.url));
  const child = fork(file, { execArgv: ['--import', 'tsx'] });
  const request: HostileRegistriesRequest = { goodImages: GOOD_IMAGES, dripImages: 2, largeImages: 2 };
  const registries = new Promise<HostileRegistries>((resolve) => child.once('message', resolve));
  child.send(request);
  return { child, registries: await registries };
}

async function startHanging(): Promise<{ readonly port: number; readonly close: () => void }> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => undefined).on('close', () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  const close = (): void => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  return { port: (server.address() as AddressInfo).port, close };
}

function configuration({ target, good, dripping, large }: HostileRegistries): string {
  const source = (registry: string): object => ({ type: 'oci', oci: { registry, insecure: true } });
  return stringify({
    target: { type: 'oci', oci: { registry: target, insecure: true } },
    source: { allow: ['127.1.0.0/16'], registries: [good, large, ...dripping].map(source) },
    imageSwapPolicy: 'exists',
    imageCopyPolicy: 'delayed',
  });
}

async function review(url: string, namespace: string, images: readonly string[]): Promise<number> {
  const containers = images.map((image, n) => ({ name: `c-${n}`, image }));
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x', namespace }, spec: { containers } };
  const request = { uid: '1', operation: 'CREATE', namespace, kind: { kind: 'Pod' }, object };
  return (await post(`${url}/v1/kyverno`, JSON.stringify({ request }))).status;
}

/** Admits Pods of a third namespace, one after another, until the signal. */
async function admit(
  url: string,
  image: string,
  signal: AbortSignal,
): Promise<{ readonly latencies: number[]; readonly refused: number }> {
  const latencies: number[] = [];
  let refused = 0;
  while (!signal.aborted) {
    const sent = performance.now();
    const status = await review(url, 'other', [image]).catch(() => 0);
    latencies.push(performance.now() - sent);
    if (status !== 200) refused += 1;
    await new Promise((resolve) => setTimeout(resolve, ADMISSION_PAUSE_MS));
  }
  return { latencies: latencies.sort((a, b) => a - b), refused };
}

/** Asks the target for the images that were still missing. Returns whether it has all of them. */
async function areMirrored({ target, good }: HostileRegistries, missing: Set<number>): Promise<boolean> {
  for (const n of missing) {
    const { status } = await get(`http://${target}/v2/${good.replace(':', '_')}/good/app-${n}/manifests/1.0`);
    if (status !== 200) break;
    missing.delete(n);
  }
  if (missing.size > 0) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  return missing.size === 0;
}

await run(Number(process.argv[2] ?? 3));
