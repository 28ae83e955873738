/**
 * Measures the additional time to create a Pod with each engine in a real cluster. It compares Pods without a policy,
 * with a policy that calls a bare stub, and with the same policy that calls the built service. The three alternate at
 * 20 Pods per second in total. `npx tsx test/bench/engines.ts [seconds per engine] [part of an engine's name]`
 */
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ENGINES } from '../e2e/cluster/engines.js';
import type { Engine } from '../e2e/cluster/engines.js';
import type { ApiObject } from '../e2e/cluster/kube-api.js';
import { FILTERS, World } from '../e2e/cluster/world.js';
import { pacedPods, PODS_PER_SECOND } from './paced-pods.js';
import type { StubPorts, StubRequest } from './stub-service.js';
import { printTable, quantile } from './table.js';

/** Each side has one namespace. Its policies exclude the others. */
const SIDES = ['none', 'stub', 'service'] as const;
type Side = (typeof SIDES)[number];

export async function run(seconds = 60, name = ''): Promise<void> {
  const engines = ENGINES.filter((engine) => engine.name.includes(name));
  const cwd = fileURLToPath(new URL('../../extension-service/', import.meta.url));
  execFileSync(process.execPath, ['build.mjs'], { cwd, stdio: 'inherit' });
  const world = await World.start();
  const stub = fork(fileURLToPath(new URL('stub-service.ts', import.meta.url)), { execArgv: ['--import', 'tsx'] });
  try {
    const images = await world.mirroredImages(4);
    const { cert, key } = await world.tls();
    const targets = Object.fromEntries(images.map((image) => [image, world.swapped(image)]));
    stub.send({ cert, key, images: targets } satisfies StubRequest);
    const [stubPorts] = (await once(stub, 'message')) as [StubPorts];
    console.log(`${PODS_PER_SECOND} Pods a second, 4 containers each, ${seconds} s for each engine; milliseconds, p50`);
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
  const latencies = await pacedPods(
    world,
    [
      { name: 'none', policies: [] },
      { name: 'stub', policies: policies(world, engine, 'stub', stubPorts[engine.scheme]) },
      { name: 'service', policies: policies(world, engine, 'service', world.ports[engine.scheme]) },
    ],
    images,
    seconds,
  );
  const of = (side: Side): readonly number[] => latencies.get(side) ?? [];
  const [none, stub, service] = SIDES.map((side) => quantile(of(side), 0.5)) as [number, number, number];
  const ratio = (service - none) / (stub - none);
  return [engine.name, none, stub, service, stub - none, service - none, ratio, quantile(of('service'), 0.99)];
}

/** Returns the engine's objects with separate names for one of the three namespaces. */
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
