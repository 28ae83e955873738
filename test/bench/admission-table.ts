/**
 * Measures the additional time to create a Pod with the API server's own table. It compares it with the plain webhook,
 * whose service is behind a relay with a delay of 1 ms in each direction. The two alternate at 20 Pods per second in
 * total. `npx tsx test/bench/admission-table.ts [seconds]`
 */
import { execFile } from 'node:child_process';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import {
  basesOf,
  renderMutatingAdmission,
} from '../../extension-service/src/core/engines/mutating-admission-policy/admission-policy.js';
import { imageTable } from '../../extension-service/src/core/engines/mutating-admission-policy/image-table.js';
import { staticTargets } from '../../extension-service/src/core/engines/mutating-admission-policy/static-target.js';
import { renderMutatingWebhook } from '../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import { parseReference } from '../../extension-service/src/core/image/reference.js';
import { targetReference } from '../../extension-service/src/core/naming/name.js';
import { ControlPlane } from '../e2e/cluster/control-plane.js';
import type { ApiObject } from '../e2e/cluster/kube-api.js';
import { get } from '../fakes/https-client.js';
import { buildImage } from '../fakes/images.js';
import { RealRegistry } from '../fakes/real-registry.js';
import { BUNDLE, RunningService } from '../fakes/service.js';
import { until } from '../fakes/until.js';
import { pushImage } from './push-image.js';
import { printTable, quantile } from './table.js';

const SIDES = ['none', 'webhook', 'table-5000', 'table-20000'] as const;
type Side = (typeof SIDES)[number];
const PER_SECOND = 20;
const RELAY_MS = 1;

export async function run(seconds = 60): Promise<void> {
  const [plane, source, target] = [await ControlPlane.start(), await RealRegistry.start(), await RealRegistry.start()];
  const service = await RunningService.start({
    config: stringify({
      source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
      target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
    }),
  });
  const relay = await startRelay(Number(new URL(service.url).port));
  try {
    const images = await Promise.all([0, 1, 2, 3].map((seed) => mirrored(source, service, seed)));
    for (const side of SIDES)
      await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `bench-${side}` } });
    const { port } = relay.address() as AddressInfo;
    for (const side of SIDES) for (const object of objectsOf(side)) await plane.api.apply(object);
    for (const side of SIDES)
      await until(`Pods of ${side}`, async () => (await create(side)) === (side !== 'none'), 60);
    const before = await calls(service);
    const latencies = await load(seconds, create);
    const webhookPods = latencies.webhook.length;
    const [none, ...others] = SIDES.map((side) => quantile(latencies[side], 0.5)) as [number, ...number[]];
    const webhookAdds = (others[0] ?? 0) - none;
    console.log(
      `${PER_SECOND} Pods a second, 4 images each, ${seconds} s; relay of ${RELAY_MS} ms each way; milliseconds`,
    );
    printTable(
      ['', 'p50', 'adds', 'to the webhook', 'p99'],
      SIDES.map((side) => {
        const p50 = quantile(latencies[side], 0.5);
        return [side, p50, p50 - none, (p50 - none) / webhookAdds, quantile(latencies[side], 0.99)];
      }),
    );
    console.log(
      `calls of the service: ${(await calls(service)) - before} for ${webhookPods} Pods of the webhook's side`,
    );

    async function create(side: Side): Promise<boolean> {
      const containers = images.map((image, index) => ({ name: `c${index}`, image }));
      const body = { apiVersion: 'v1', kind: 'Pod', metadata: { generateName: 'pod-' }, spec: { containers } };
      const reply = await plane.api.send('POST', `/api/v1/namespaces/bench-${side}/pods`, body);
      if (reply.status !== 201) throw new Error(JSON.stringify(reply.body));
      const { spec } = reply.body as { readonly spec: { readonly containers: readonly { readonly image: string }[] } };
      return spec.containers.every(({ image }) => image.startsWith(`${target.host}/mirror/`));
    }

    function objectsOf(side: Side): readonly ApiObject[] {
      const common = {
        name: `bench-${side}`,
        excludedNamespaces: SIDES.filter((other) => other !== side).map((other) => `bench-${other}`),
      };
      const prefix = `${target.host}/mirror/`;
      if (side === 'none') return [];
      if (side === 'webhook') {
        const url = `https://127.0.0.1:${port}`;
        const object = renderMutatingWebhook({ ...common, url, targets: [prefix], caBundle: service.ca });
        return [object as unknown as ApiObject];
      }
      const targets = staticTargets([prefix]).map((one) => ({ ...one, swapPolicy: 'exists' as const }));
      const table = tableOf(targets, Number(side.slice('table-'.length)), images);
      return renderMutatingAdmission({ ...common, targets, table }) as unknown as readonly ApiObject[];
    }
  } finally {
    relay.close();
    await service.stop();
    await Promise.all([plane.stop(), source.stop(), target.stop()]);
  }
}

function tableOf(targets: ReturnType<typeof staticTargets>, size: number, images: readonly string[]) {
  const naming = targets[0]?.naming;
  if (naming === undefined) throw new Error('no target');
  const others = Array.from(
    { length: size - images.length },
    (_, i) => `registry${i % 7}.example.com/team-${i % 97}/service-${i % 1999}:1.${i}.0`,
  );
  const entries = [...images, ...others].map((text) => {
    const source = parseReference(text);
    const { registry, repository } = targetReference(naming, source);
    return { source, target: naming.name, registry, repository };
  });
  return imageTable(entries, basesOf(targets));
}

async function load(
  seconds: number,
  create: (side: Side) => Promise<boolean>,
): Promise<Readonly<Record<Side, number[]>>> {
  const latencies: Record<Side, number[]> = { none: [], webhook: [], 'table-5000': [], 'table-20000': [] };
  const once = async (side: Side): Promise<void> => {
    const started = performance.now();
    const swapped = await create(side);
    latencies[side].push(performance.now() - started);
    if (swapped !== (side !== 'none')) throw new Error(`a Pod of ${side} has swapped: ${swapped}`);
  };
  const pending: Promise<void>[] = [];
  const began = performance.now();
  for (let n = 0; n < seconds * PER_SECOND; n += 1) {
    await sleep(Math.max(0, began + (n * 1000) / PER_SECOND - performance.now()));
    pending.push(once(SIDES[n % SIDES.length] ?? 'none'));
  }
  await Promise.all(pending);
  for (const values of Object.values(latencies)) values.sort((one, other) => one - other);
  return latencies;
}

async function mirrored(source: RealRegistry, service: RunningService, seed: number): Promise<string> {
  const image = buildImage({ seed, platforms: ['linux/amd64'], layersPerPlatform: 1 });
  await pushImage(source.host, `app-${seed}`, image, '1');
  const reference = `${source.host}/app-${seed}:1`;
  await promisify(execFile)(process.execPath, [BUNDLE, 'mirror', reference, '--config', service.configFile]);
  return reference;
}

async function calls({ operations }: RunningService): Promise<number> {
  const { text } = await get(`${operations}/metrics`);
  const counts = [...text.matchAll(/^image_swapper_resolve_requests_total\{[^}]*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Forwards bytes to the port, delayed by a millisecond in each direction. */
async function startRelay(port: number): Promise<Server> {
  const pass = (from: Socket, to: Socket): void => {
    from.on('data', (bytes: Buffer) => setTimeout(() => to.write(bytes), RELAY_MS));
    from.on('close', () => setTimeout(() => to.destroy(), RELAY_MS));
    from.on('error', () => to.destroy());
  };
  const server = createServer((client) => {
    const onward = connect(port, '127.0.0.1');
    for (const socket of [client, onward]) socket.setNoDelay(true);
    pass(client, onward);
    pass(onward, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [seconds] = process.argv.slice(2);
  await run(seconds === undefined ? undefined : Number(seconds));
}
