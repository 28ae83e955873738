import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { get, post } from '../../fakes/https-client.js';
import type { ClientReply } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import { admissionRequest, mirrors } from './world.js';
import { until } from '../../fakes/until.js';

const LEASE = 'image-swapper/image-swapper';

let cluster: FakeCluster;
let source: FakeRegistry;
let target: FakeRegistry;
let service: RunningService;

beforeEach(async () => {
  [cluster, source, target] = [await FakeCluster.start(), await FakeRegistry.start(), await FakeRegistry.start()];
});
afterEach(async () => {
  await service.stop('SIGKILL');
  await Promise.all([cluster.close(), source.close(), target.close()]);
});

/** Starts the service as in a Pod, with the variable that kubelets set. */
async function start(env: Record<string, string> = { KUBERNETES_SERVICE_HOST: '127.0.0.1' }): Promise<void> {
  const kubeconfig = join(tmpdir(), `image-swapper-stopping-${process.pid}.json`);
  await writeFile(kubeconfig, cluster.kubeconfig());
  const config = stringify({
    target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
    source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
  });
  service = await RunningService.start({ config, env: { KUBECONFIG: kubeconfig, ...env }, plain: true });
  await until('a leader', () => (cluster.holderOf(LEASE) ?? '') !== '');
}

/** Sends an admission request on a new connection. */
function admit(): Promise<ClientReply> {
  const request = admissionRequest({ app: `${source.host}/app:1` });
  return post(`${service.url}/v1/kyverno`, JSON.stringify({ request }));
}

const readiness = async (): Promise<number> => (await get(`${service.operations}/readyz`)).status;

describe('a terminating Pod', () => {
  it('is immediately not ready, and answers new connections until every node knows', async () => {
    await start();
    service.process.kill('SIGTERM');
    await until('not ready', async () => (await readiness()) === 503);
    // The service has released its Lease.
    await until('the Lease is released', () => cluster.holderOf(LEASE) === '');
    const { status, headers } = await admit();
    expect({ status, connection: headers.connection }).toEqual({ status: 200, connection: 'close' });
    expect(await service.exited).toEqual({ code: 0, signal: null });
    await expect(admit()).rejects.toThrow('ECONNREFUSED');
  });

  it('keeps the Lease while its own copy runs, starts no other, and releases it before it ends', async () => {
    loadImage(source, 'app', buildImage({ seed: 1 }), '1');
    source.fault({ path: '/blobs/', action: { type: 'delay', milliseconds: 1_500 } });
    await start();
    cluster.collection('/api/v1/pods').put(smallPod('web', `${source.host}/app:1`, 'team-a'));
    const state = async (): Promise<string | undefined> => (await mirrors(service))[0]?.state;
    await until('the copy runs', async () => (await state()) === 'running');
    const holder = cluster.holderOf(LEASE);
    service.process.kill('SIGTERM');
    await until('not ready', async () => (await readiness().catch(() => 503)) === 503);
    cluster.collection('/api/v1/pods').put(smallPod('late', `${source.host}/late:1`, 'team-a'));
    const holders: (string | undefined)[] = [];
    const seen = new Set<string>();
    await until('the copy ends', async () => {
      const held = cluster.holderOf(LEASE);
      // On a busy machine, the process may exit between two requests.
      const all = await mirrors(service).catch(() => []);
      for (const { source: image } of all) seen.add(image);
      if (all[0]?.state !== 'running') return true;
      holders.push(held);
      return false;
    });
    expect(new Set(holders)).toEqual(new Set([holder]));
    expect(seen).toEqual(new Set([`${source.host}/app:1`]));
    expect((await service.exited).code).toBe(0);
    expect(cluster.holderOf(LEASE)).toBe('');
    expect(target.manifest(`mirror/${source.host.replace(':', '_')}/app`, '1')).toBeDefined();
  });
});

it('outside of a Pod it ends without waiting for callers', async () => {
  await start({});
  service.process.kill('SIGINT');
  // In a Pod, it still answers new connections when it has released its Lease.
  await until('the Lease is released', () => cluster.holderOf(LEASE) === '');
  await expect(admit()).rejects.toThrow('ECONNREFUSED');
  expect((await service.exited).code).toBe(0);
  await until('the last line', () => service.log.some(({ message }) => message === 'stopped'));
});
