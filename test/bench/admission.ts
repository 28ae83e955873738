/**
 * Compares admission by the built service with a bare node:https echo of the same body in the same run. Measures
 * requests per second, p50 and p99 over kept connections and over a new TLS connection for each request, and then the
 * latencies while four copies run. `npx tsx test/bench/admission.ts [seconds per round] [rounds]`
 */
import { execFileSync, fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { makeCertificates } from '../fakes/certificates.js';
import { get } from '../fakes/https-client.js';
import { RunningService } from '../fakes/service.js';
import { load } from './load.js';
import type { LoadResult } from './load.js';
import { benchPod } from './pod.js';
import type { RegistriesRequest } from './registries-process.js';
import { median, printTable, quantile } from './table.js';

/** The nice value of the service's background worker. */
const COPIES_NICE = 10;
/** Large enough for some hundred admissions during the copies. */
const LAYER_BYTES = 40_000_000;

const FILTERS = [
  "obj.metadata.namespace == 'kube-system'",
  "contains(container.image, '.dkr.ecr.') && contains(container.image, '.amazonaws.com')",
  "obj.metadata.labels.mirror == 'off'",
];

export async function run(seconds = 4, rounds = 3): Promise<void> {
  build();
  const children: ChildProcess[] = [];
  const cleanup: (() => Promise<unknown>)[] = [];
  try {
    const images = [0, 1, 2, 3].map((n) => `docker.io/library/app-${n}`);
    const request: RegistriesRequest = { bigImages: 4, layerSize: LAYER_BYTES, present: images };
    const { source, target } = await child<{ source: string; target: string }>(
      'registries-process.ts',
      request,
      children,
    );
    // Registries run on other machines. Here they get the priority of the copies, so that they take no time from admission.
    for (const { pid } of children) if (pid !== undefined) setPriority(pid, COPIES_NICE);
    const certificates = await makeCertificates({ hosts: ['127.0.0.1'] });
    const { port } = await child<{ port: number }>('echo-server.ts', certificates, children);
    const service = await RunningService.start({
      config: stringify({
        target: { type: 'oci', oci: { registry: target, insecure: true } },
        source: {
          filters: FILTERS.map((jmespath) => ({ jmespath })),
          registries: [{ type: 'oci', oci: { registry: source, insecure: true } }],
        },
      }),
    });
    cleanup.push(() => service.stop());

    const pod = benchPod((n) => `app-${n}:1.0`);
    const body = JSON.stringify({ request: admissionRequest(pod) });
    console.log(
      `body ${body.length} bytes, 4 containers, ${FILTERS.length} filters; ${rounds} rounds of ${seconds} s each, medians`,
    );
    const ours = { url: `${service.url}/v1/kyverno`, ca: service.ca, body };
    const echo = { url: `https://127.0.0.1:${port}/`, ca: certificates.ca, body };
    // The first round warms up the JIT and caches the target's responses.
    for (const options of [ours, echo]) await load({ ...options, clients: 4, seconds: 2 });

    const rows: (string | number)[][] = [];
    for (const newConnections of [false, true]) {
      const results: { ours: LoadResult[]; echo: LoadResult[] } = { ours: [], echo: [] };
      for (let round = 0; round < rounds; round += 1) {
        // The rounds alternate, so that a slow phase of the machine affects both.
        results.echo.push(await load({ ...echo, clients: 4, seconds, newConnections }));
        results.ours.push(await load({ ...ours, clients: 4, seconds, newConnections }));
      }
      const name = newConnections ? 'a new TLS connection each' : 'kept connections';
      const figures = (list: LoadResult[], key: 'perSecond' | 'p50' | 'p99'): number =>
        median(list.map((result) => result[key]));
      for (const [who, list] of [
        ['echo', results.echo],
        ['image-swapper', results.ours],
      ] as const) {
        const ratio = figures(list, 'perSecond') / figures(results.echo, 'perSecond');
        rows.push([`${name}: ${who}`, figures(list, 'perSecond'), ratio, figures(list, 'p50'), figures(list, 'p99')]);
      }
    }
    printTable(['', 'requests/s', 'ratio', 'p50 ms', 'p99 ms'], rows);

    console.log('\nlatency at about 100 requests/s');
    const lightLoad = { clients: 2, pause: 15 };
    const idle = await load({ ...ours, ...lightLoad, seconds: 5 });
    const big = JSON.stringify({ request: admissionRequest(benchPod((n) => `${source}/big/image-${n}:1.0`)) });
    await load({ ...ours, body: big, clients: 1, seconds: 0.01 });
    const started = performance.now();
    const parts: LoadResult[] = [];
    while (await copying(service.operations)) parts.push(await load({ ...ours, ...lightLoad, seconds: 0.5 }));
    const copySeconds = (performance.now() - started) / 1_000;
    const busy = merge(parts);
    printTable(
      ['', 'p50 ms', 'p99 ms', 'max ms', 'requests'],
      [
        ['idle', idle.p50, idle.p99, idle.max, idle.requests],
        ['while 4 copies run', busy.p50, busy.p99, busy.max, busy.requests],
      ],
    );
    console.log(`(the 4 copies, ${((4 * 15 * LAYER_BYTES) / 1e6).toFixed(0)} MB, took ${copySeconds.toFixed(1)} s)`);
  } finally {
    for (const close of cleanup) await close();
    for (const process of children) process.kill();
  }
}

async function copying(operations: string): Promise<boolean> {
  const { mirrors } = (await get(`${operations}/v1/mirrors`)).json() as { mirrors: { state: string }[] };
  const failed = mirrors.find(({ state }) => state === 'failed' || state === 'waiting');
  if (failed !== undefined) throw new Error(`a copy failed: ${JSON.stringify(failed)}`);
  return mirrors.some(({ state }) => state === 'running' || state === 'queued');
}

function merge(parts: readonly LoadResult[]): LoadResult {
  const latencies = parts.flatMap((part) => part.latencies).sort((a, b) => a - b);
  return {
    perSecond: median(parts.map(({ perSecond }) => perSecond)),
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    max: latencies.at(-1) ?? 0,
    requests: latencies.length,
    latencies,
  };
}

function admissionRequest(pod: object): object {
  return {
    uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    operation: 'CREATE',
    namespace: 'team-a',
    userInfo: { username: 'system:serviceaccount:kube-system:replicaset-controller' },
    dryRun: false,
    object: pod,
  };
}

async function child<T>(file: string, message: object, children: ChildProcess[]): Promise<T> {
  const process = fork(fileURLToPath(new URL(file, import.meta.url)), { execArgv: ['--import', 'tsx'] });
  children.push(process);
  process.send(message);
  const [answer] = (await once(process, 'message')) as [T];
  return answer;
}

function build(): void {
  const cwd = fileURLToPath(new URL('../../extension-service/', import.meta.url));
  execFileSync(process.execPath, ['build.mjs'], { cwd, stdio: 'inherit' });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await run(...process.argv.slice(2).map(Number));
}
