/**
 * Measures the time from "the target has the image" to "the API server swaps it" on kube-apiserver 1.37: for one image
 * every 20 s, and then for a stream. Two loops detect these moments with a HEAD of the target's manifest and a dry run
 * of a Pod. `npx tsx test/bench/table-lag.ts [images one by one] [images of the stream]`
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { ControlPlane } from '../e2e/cluster/control-plane.js';
import { imagesOf, NAMESPACE, pod } from '../e2e/cluster/pods.js';
import { expectOk } from '../e2e/cluster/kube-api.js';
import { get } from '../fakes/https-client.js';
import { buildImage, OCI_INDEX } from '../fakes/images.js';
import { RealRegistry } from '../fakes/real-registry.js';
import { RunningService } from '../fakes/service.js';
import { pushImage } from './push-image.js';
import { printTable, quantile } from './table.js';

const ONE_BY_ONE_MS = 20_000;
const STREAM_MS = 1_000;
/** Milliseconds between two checks. */
const POLL_MS = 50;
const HANG_MS = 120_000;

export async function run(single = 15, stream = 120): Promise<void> {
  const [plane, source, target] = [await ControlPlane.start(), await RealRegistry.start(), await RealRegistry.start()];
  await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  const service = await RunningService.start({
    config: stringify({
      source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
      target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
      policies: { engine: 'mutatingadmissionpolicy', manage: true },
    }),
    env: { KUBECONFIG: plane.kubeconfig },
    plain: true,
  });
  try {
    let made = 0;
    const rows = [
      ['one image every 20 s', await lags(single, ONE_BY_ONE_MS)] as const,
      ['a stream, one image a second', await lags(stream, STREAM_MS)] as const,
    ];
    printTable(
      ['milliseconds from copied to swapped', 'images', 'p50', 'p99', 'max'],
      rows.map(([what, list]) => [
        what,
        String(list.length),
        quantile(list, 0.5),
        quantile(list, 0.99),
        list.at(-1) ?? 0,
      ]),
    );
    const { text } = await get(`${service.operations}/metrics`);
    console.log([...text.matchAll(/^image_swapper_table_(?:entries|writes_total|lag_seconds) .*$/gm)].join('\n'));
    const calls = [...text.matchAll(/^image_swapper_resolve_requests_total\{[^}]*\} (\d+)$/gm)];
    console.log(`calls of the service: ${calls.reduce((sum, [, count]) => sum + Number(count), 0)}`);

    async function lags(images: number, pause: number): Promise<readonly number[]> {
      const pending: Promise<number>[] = [];
      for (let index = 0; index < images; index += 1) {
        pending.push(lagOf());
        await sleep(pause);
      }
      return (await Promise.all(pending)).sort((one, other) => one - other);
    }

    async function lagOf(): Promise<number> {
      made += 1;
      const repository = `app-${made}`;
      const image = buildImage({ seed: made, layerSize: 2_000, platforms: ['linux/amd64'], layersPerPlatform: 1 });
      await pushImage(source.host, repository, image, '1');
      const reference = `${source.host}/${repository}:1`;
      expectOk(await plane.api.create(pod(reference)), 'create the Pod');
      const path = `mirror/${source.host.replace(':', '_')}/${repository}`;
      const copied = await firstTime(`${reference} is copied`, async () => {
        const headers = { accept: OCI_INDEX };
        return (await fetch(`http://${target.host}/v2/${path}/manifests/1`, { method: 'HEAD', headers })).ok;
      });
      const swapped = await firstTime(`${reference} is swapped`, async () => {
        const { body } = expectOk(await plane.api.create(pod(reference), '?dryRun=All'), 'dry run');
        return imagesOf(body)['app'] === `${target.host}/${path}:1`;
      });
      return swapped - copied;
    }
  } finally {
    await service.stop();
    await Promise.all([plane.stop(), source.stop(), target.stop()]);
  }
}

async function firstTime(what: string, holds: () => Promise<boolean>): Promise<number> {
  const end = performance.now() + HANG_MS;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${HANG_MS / 1_000} s: ${what}`);
    await sleep(POLL_MS);
  }
  return performance.now();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [single, stream] = process.argv.slice(2).map(Number);
  await run(single, stream);
}
