/**
 * The additional time of a Pod's creation through each engine, in a real cluster: without a policy, with one that asks a bare
 * stub, and with the same one that asks the built service; the three in turn, at 20 Pods a second altogether.
 * `npx tsx test/bench/engines.ts [seconds per engine] [part of an engine's name]`
 */
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ENGINES } from '../e2e/cluster/engines.js';
import type { Engine } from '../e2e/cluster/engines.js';
import type { ApiObject } from '../e2e/cluster/kube-api.js';
import { admissionOf } from '../e2e/cluster/pods.js';
import type { PodObject } from '../e2e/cluster/pods.js';
import { FILTERS, World } from '../e2e/cluster/world.js';
import { benchPod } from './pod.js';
import type { StubPorts, StubRequest } from './stub-service.js';
import { printTable, quantile } from './table.js';
import { until } from '../fakes/until.js';

/** One namespace for each; the policies leave the others' out. */
const SIDES = ['none', 'stub', 'service'] as const;
type Side = (typeof SIDES)[number];
const PER_SECOND = 20;

interface Asked {
  readonly side: Side;
  readonly policies: readonly ApiObject[];
}

export async function run(seconds = 60, name = ''): Promise<void> {
  const engines = ENGINES.filter((engine) => engine.name.includes(name));
  const cwd = fileURLToPath(new URL('../../extension-service/', import.meta.url));
  execFileSync(process.execPath, ['build.mjs'], { cwd, stdio: 'inherit' });
  const world = await World.start();
  const stub = fork(fileURLToPath(new URL('stub-service.ts', import.meta.url)), { execArgv: ['--import', 'tsx'] });
  try {
    const images = await Promise.all([0, 1, 2, 3].map(() => world.image({ mirrored: true })));
    const { cert, key } = await world.tls();
    const targets = Object.fromEntries(images.map((image) => [image, world.swapped(image)]));
    stub.send({ cert, key, images: targets } satisfies StubRequest);
    const [stubPorts] = (await once(stub, 'message')) as [StubPorts];
    for (const side of SIDES) {
      await world.plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `bench-${side}` } });
    }
    console.log(`${PER_SECOND} Pods a second, 4 containers each, ${seconds} s for each engine; milliseconds, p50`);
    const rows: (string | number)[][] = [];
    for (const engine of engines) rows.push(await measure(world, engine, stubPorts, images, seconds));
    printTable(['', 'no policy', 'stub', 'service', 'stub adds', 'service adds', 'ratio', 'service p99'], rows);
  } finally {
    stub.kill();
    await world.stop();
  }
}

async function measure(
  world: World,
  engine: Engine,
  stubPorts: StubPorts,
  images: readonly string[],
  seconds: number,
): Promise<(string | number)[]> {
  const { api } = world.plane;
  const asked: Asked[] = [
    { side: 'stub', policies: policies(world, engine, 'stub', stubPorts[engine.scheme]) },
    { side: 'service', policies: policies(world, engine, 'service', world.ports[engine.scheme]) },
  ];
  const create = async (side: Side): Promise<boolean> => {
    const { metadata, spec, ...pod } = benchPod((n) => images[n] ?? '') as PodObject;
    // Its init container has a probe, which only a sidecar may have.
    const initContainers = spec.initContainers?.map((container) => ({ ...container, restartPolicy: 'Always' })) ?? [];
    const body = {
      ...pod,
      metadata: { ...metadata, namespace: `bench-${side}` },
      spec: { ...spec, initContainers },
    };
    const admission = admissionOf(await api.send('POST', `/api/v1/namespaces/bench-${side}/pods`, body));
    if (!admission.admitted) throw new Error(admission.message);
    return Object.values(admission.images).every((image) => image.startsWith(world.prefix));
  };
  for (const { side, policies: objects } of asked) {
    for (const object of objects) await api.apply(object);
    await until(`${engine.name} swaps by the ${side}`, () => create(side), 60);
  }
  const latencies: Record<Side, number[]> = { none: [], stub: [], service: [] };
  const pending: Promise<void>[] = [];
  const once = async (side: Side): Promise<void> => {
    const started = performance.now();
    const swapped = await create(side);
    latencies[side].push(performance.now() - started);
    if (swapped !== (side !== 'none')) throw new Error(`${engine.name}: a Pod of ${side} has swapped: ${swapped}`);
  };
  const began = performance.now();
  for (let n = 0; n < seconds * PER_SECOND; n += 1) {
    await sleep(Math.max(0, began + (n * 1000) / PER_SECOND - performance.now()));
    pending.push(once(SIDES[n % SIDES.length] ?? 'none'));
  }
  await Promise.all(pending);
  for (const { policies: objects } of asked) for (const object of [...objects].reverse()) await api.remove(object);
  for (const values of Object.values(latencies)) values.sort((a, b) => a - b);
  const [none, stub, service] = SIDES.map((side) => quantile(latencies[side], 0.5)) as [number, number, number];
  const ratio = (service - none) / (stub - none);
  return [engine.name, none, stub, service, stub - none, service - none, ratio, quantile(latencies.service, 0.99)];
}

/** The engine's objects, under names of their own, for one namespace of the three. */
function policies(world: World, engine: Engine, side: Side, port: number): readonly ApiObject[] {
  return engine.objects({
    name: `bench-${side}`,
    address: `127.0.0.1:${port}`,
    targets: [world.prefix],
    filters: FILTERS,
    ca: world.service.ca,
    failClosed: true,
    excludedNamespaces: SIDES.filter((other) => other !== side).map((other) => `bench-${other}`),
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [seconds, name] = process.argv.slice(2);
  await run(seconds === undefined ? undefined : Number(seconds), name);
}
