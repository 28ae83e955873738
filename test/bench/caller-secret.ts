/**
 * Measures the cost of `auth.kyverno.secret`. It compares Pods with a MutatingPolicy that sends the secret header
 * (which Kyverno reads from a Secret for each request), with the same policy without the header, and without a policy.
 * Both policies call a bare stub, so that only Kyverno's part differs. `npx tsx test/bench/caller-secret.ts [seconds]`
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { renderKyvernoMutatingPolicy } from '../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import type { ApiObject } from '../e2e/cluster/kube-api.js';
import { World } from '../e2e/cluster/world.js';
import { pacedPods, PODS_PER_SECOND } from './paced-pods.js';
import type { StubPorts, StubRequest } from './stub-service.js';
import { printTable, quantile } from './table.js';

const SIDES = ['none', 'bare', 'secret'] as const;
const CALLER = { name: 'image-swapper-caller', namespace: 'kyverno' };

export async function run(seconds = 60): Promise<void> {
  const world = await World.start();
  const stub = fork(fileURLToPath(new URL('stub-service.ts', import.meta.url)), { execArgv: ['--import', 'tsx'] });
  try {
    const images = await world.mirroredImages(4);
    const { cert, key } = await world.tls();
    const targets = Object.fromEntries(images.map((image) => [image, world.swapped(image)]));
    stub.send({ cert, key, images: targets } satisfies StubRequest);
    const [{ http }] = (await once(stub, 'message')) as [StubPorts];
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: CALLER, stringData: { secret: 'a'.repeat(64) } };
    await world.plane.api.apply(secret);
    const policy = (side: string, callerSecret?: typeof CALLER): ApiObject =>
      renderKyvernoMutatingPolicy({
        name: `bench-${side}`,
        url: `http://127.0.0.1:${http}`,
        targets: [world.prefix],
        failClosed: true,
        excludedNamespaces: SIDES.filter((other) => other !== side).map((other) => `bench-${other}`),
        ...(callerSecret !== undefined && { callerSecret }),
      }) as unknown as ApiObject;
    const latencies = await pacedPods(
      world,
      [
        { name: 'none', policies: [] },
        { name: 'bare', policies: [policy('bare')] },
        { name: 'secret', policies: [policy('secret', CALLER)] },
      ],
      images,
      seconds,
    );
    const of = (side: string, q: number): number => quantile([...(latencies.get(side) ?? [])], q);
    const [none, bare] = [of('none', 0.5), of('bare', 0.5)];
    console.log(`${PODS_PER_SECOND} Pods a second, 4 containers each, ${seconds} s; milliseconds`);
    printTable(
      ['', 'p50', 'adds', 'ratio', 'p99'],
      SIDES.map((side) => [
        side,
        of(side, 0.5),
        of(side, 0.5) - none,
        (of(side, 0.5) - none) / (bare - none),
        of(side, 0.99),
      ]),
    );
  } finally {
    stub.kill();
    await world.stop();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await run(...process.argv.slice(2).map(Number));
