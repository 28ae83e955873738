import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import { metric } from './world.js';
import { until } from '../../fakes/until.js';

const PODS = '/api/v1/pods';

let cluster: FakeCluster;
let source: FakeRegistry;
let target: FakeRegistry;
let services: RunningService[];

beforeEach(async () => {
  [cluster, source, target] = [await FakeCluster.start(), await FakeRegistry.start(), await FakeRegistry.start()];
  services = [];
});
afterEach(async () => {
  await Promise.all(services.map((service) => service.stop('SIGKILL')));
  await Promise.all([cluster.close(), source.close(), target.close()]);
});

function configuration(more: object = {}, registry = target): string {
  return stringify({
    target: { type: 'oci', oci: { registry: registry.host, prefix: 'mirror', insecure: true } },
    source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
    ...more,
  });
}

async function start(more: object = {}): Promise<RunningService> {
  const kubeconfig = join(tmpdir(), `image-swapper-reconcile-${process.pid}.json`);
  await writeFile(kubeconfig, cluster.kubeconfig());
  const env = { KUBECONFIG: kubeconfig, POD_NAME: 'reconcile' };
  const service = await RunningService.start({ config: configuration(more), env, plain: true });
  services.push(service);
  return service;
}

function image(name: string, seed = 1): string {
  loadImage(source, name, buildImage({ seed }), '1');
  return `${source.host}/${name}:1`;
}

function repository(name: string): string {
  return `mirror/${source.host.replace(':', '_')}/${name}`;
}

function digest(name: string, registry = target): string | undefined {
  return registry.manifest(repository(name), '1')?.digest;
}

function put(name: string, used: string, namespace = 'team-a', more: object = {}): void {
  const made = smallPod(name, used, namespace);
  cluster.collection(PODS).put({ ...made, metadata: { ...made.metadata, ...more } });
}

async function listed(service: RunningService): Promise<void> {
  await until('the list', () => service.log.some(({ message }) => message.includes("listed the cluster's workloads")));
}

describe('the leader', () => {
  it('copies used images except excluded ones', async () => {
    put('used', image('used'));
    put('system', image('system'), 'kube-system');
    put('own', image('own'), 'image-swapper');
    put('excluded', image('excluded'), 'legacy');
    put('opted-out', image('opted-out'), 'team-a', { labels: { 'image-swapper.io/skip': 'true' } });
    put('filtered', image('filtered'));
    const ended = smallPod('ended', image('ended'));
    cluster.collection(PODS).put({ ...ended, status: { phase: 'Succeeded' } });
    // The target had the image until somebody deleted it. The Pod names only the copy.
    image('pruned');
    put('pruned', `${target.host}/${repository('pruned')}:1`);
    const filters = [{ jmespath: "contains(container.image, 'filtered')" }];
    const service = await start({
      policies: { excludedNamespaces: ['legacy'] },
      source: { filters, registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
    });
    await until('both', () => digest('used') !== undefined && digest('pruned') !== undefined);
    await listed(service);
    await sleep(500);
    expect(target.repositories().sort()).toEqual([repository('pruned'), repository('used')]);
  });

  it('copies nothing in a dry run', async () => {
    put('used', image('used'));
    const service = await start({ dryRun: true });
    await listed(service);
    await sleep(500);
    expect([source.accessLog, target.accessLog]).toEqual([[], []]);
  });

  it('copies everything to the target of a new configuration', async () => {
    for (const name of ['a', 'b', 'c']) put(name, image(name));
    const service = await start();
    await until('the first', () => ['a', 'b', 'c'].every((name) => digest(name) !== undefined));
    const second = await FakeRegistry.start();
    try {
      await writeFile(service.configFile, configuration({}, second));
      await until('the second', () => ['a', 'b', 'c'].every((name) => digest(name, second) !== undefined));
    } finally {
      await second.close();
    }
  });

  it('checks moving tags with one HEAD and one list of referrers at the source, and without a pull', async () => {
    put('moving', image('moving'));
    put('still', image('still', 2));
    await start({ mirror: { refresh: { interval: '1s' } } });
    await until('both', () => digest('moving') !== undefined && digest('still') !== undefined);
    const from = source.accessLog.length;
    const before = digest('moving');
    loadImage(source, 'moving', buildImage({ seed: 3 }), '1');
    await until('the new image', () => digest('moving') !== before);
    expect(digest('moving')).toBe(source.manifest('moving', '1')?.digest);
    const later = source.requests().slice(from);
    const still = later.filter((line) => line.includes('/v2/still/'));
    const kinds = new Set(still.map((line) => line.replace(/sha256:.*/, 'DIGEST')));
    expect(kinds).toEqual(new Set(['HEAD /v2/still/manifests/1', 'GET /v2/still/referrers/DIGEST']));
    const refreshes = later.filter((line) => line === 'HEAD /v2/moving/manifests/1').length;
    expect(still.filter((line) => line.startsWith('HEAD')).length).toBeLessThanOrEqual(refreshes + 1);
    expect(still.filter((line) => line.startsWith('GET')).length).toBeLessThanOrEqual(refreshes + 2);
  });

  it('makes one request to the target and two to the source for each refresh of an unchanged tag', async () => {
    put('still', image('still'));
    await start({ mirror: { refresh: { interval: '1s' } } });
    await until('the copy', () => digest('still') !== undefined);
    const compared = (): number => source.requests().filter((line) => line === 'HEAD /v2/still/manifests/1').length;
    // The first two comparisons may belong to the copy itself and to a refresh that began beside it.
    await until('a refresh', () => compared() >= 2);
    const from = { refreshes: compared(), source: source.accessLog.length, target: target.accessLog.length };
    await until('two more', () => compared() >= from.refreshes + 2);
    const list = `GET /v2/still/referrers/${digest('still') ?? ''}`;
    await until('the last list', () => source.requests().at(-1) === list);
    const refreshes = compared() - from.refreshes;
    const counts = (registry: FakeRegistry, since: number): Record<string, number> => {
      const lines = registry.requests().slice(since);
      return Object.fromEntries([...new Set(lines)].map((line) => [line, lines.filter((one) => one === line).length]));
    };
    const atTarget = counts(target, from.target);
    const head = `HEAD /v2/${repository('still')}/manifests/1`;
    expect(Object.keys(atTarget)).toEqual([head]);
    // Counting may begin or end between the two HEADs of a refresh.
    expect(Math.abs((atTarget[head] ?? 0) - refreshes)).toBeLessThanOrEqual(1);
    const asked = counts(source, from.source);
    expect(Object.keys(asked).sort()).toEqual([list, 'HEAD /v2/still/manifests/1'].sort());
    expect(asked['HEAD /v2/still/manifests/1']).toBe(refreshes);
    expect(asked[list]).toBeLessThanOrEqual(refreshes + 1);
  });

  it('finds lost content in an audit and restores it with an Event and a metric', async () => {
    const used = image('used');
    put('used', used);
    const service = await start({ mirror: { audit: { interval: '10s' } } });
    await until('the copy', () => digest('used') !== undefined);
    await until('its Event', () => cluster.events.some(({ reason }) => reason === 'Mirrored'));
    const manifest = source.manifest('used', digest('used') ?? '');
    const [child] =
      (JSON.parse(manifest?.bytes.toString() ?? '{}') as { manifests?: { digest: string }[] }).manifests ?? [];
    const lost = child?.digest ?? '';
    expect(target.deleteManifest(repository('used'), lost)).toBe(true);
    // The layer of this manifest is also missing, so the repair must send it.
    const { layers = [] } = JSON.parse(source.manifest('used', lost)?.bytes.toString() ?? '{}') as {
      layers?: { digest: string }[];
    };
    const layer = layers[0]?.digest ?? '';
    expect(target.deleteBlob(repository('used'), layer)).toBe(true);
    await until('the repair', () => target.manifest(repository('used'), lost) !== undefined);
    expect(target.blob(layer, repository('used'))).toBeDefined();
    await until('its Event', () => cluster.events.some(({ reason }) => reason === 'MirrorRepaired'));
    expect(cluster.events.find(({ reason }) => reason === 'MirrorRepaired')).toMatchObject({
      type: 'Warning',
      involvedObject: { kind: 'Pod', namespace: 'team-a', name: 'used' },
      message: expect.stringContaining(lost) as string,
    });
    const repaired = (): Promise<number> =>
      metric(service, 'image_swapper_repaired_images_total', { target: 'default' });
    await until('the repair is counted', async () => (await repaired()) === 1);
    await until('the repair is logged', () => service.log.some(({ message }) => message.includes('was damaged')));
    // The tag never disappeared. The repair puts only the lost content and does not move the tag.
    expect(target.manifest(repository('used'), '1')?.digest).toBe(source.manifest('used', '1')?.digest);
  });

  it('reports its images and watches in metrics only while it holds the Lease', async () => {
    put('used', image('used'));
    put('lost', `${target.host}/mirror/own:1`);
    const service = await start();
    const seen = async (): Promise<string> => {
      const names = ['watch_up', 'wanted_images', 'unknown_images'].map((name) => `image_swapper_${name}`);
      const [podsUp, ...counts] = await Promise.all([
        metric(service, 'image_swapper_watch_up', { kind: 'Pod' }),
        ...names.map((name) => metric(service, name)),
      ]);
      return [podsUp, ...counts].join(' ');
    };
    const restarts = (): Promise<number> => metric(service, 'image_swapper_watch_restarts_total', { kind: 'Pod' });
    await until('all is seen', async () => (await seen()) === '1 7 1 1');
    expect(await restarts()).toBe(0);
    cluster.fault({ path: PODS, fault: { type: 'status', code: 403 } });
    cluster.endWatches(PODS);
    await until('Pods are not seen', async () => (await seen()) === '0 6 1 1');
    expect(await restarts()).toBeGreaterThan(0);
    cluster.clearFaults();
    await until('they are again', async () => (await seen()) === '1 7 1 1');
    cluster.fault({ verb: 'lease', fault: { type: 'status', code: 500 } });
    await until('it leads no more', async () => (await seen()) === '0 0 0 0');
  });

  it('tries the secrets of each namespace until one can read the image', async () => {
    await source.close();
    source = await FakeRegistry.start({ auth: { type: 'basic', users: { robot: 'right' } } });
    const used = image('private');
    for (const [namespace, password] of [
      ['team-a', 'wrong'],
      ['team-b', 'wrong'],
      ['team-c', 'right'],
    ] as const) {
      const auth = Buffer.from(`robot:${password}`).toString('base64');
      const document = JSON.stringify({ auths: { [source.host]: { auth } } });
      cluster.putObject(`/api/v1/namespaces/${namespace}/secrets/registry`, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'registry', namespace },
        type: 'kubernetes.io/dockerconfigjson',
        data: { '.dockerconfigjson': Buffer.from(document).toString('base64') },
      });
      const made = smallPod(`pod-${namespace}`, used, namespace);
      const spec = { ...(made['spec'] as object), imagePullSecrets: [{ name: 'registry' }] };
      cluster.collection(PODS).put({ ...made, spec });
    }
    await start();
    await until('the private image', () => digest('private') !== undefined);
    const refused = source.accessLog.filter(({ status, authorization }) => status === 401 && authorization === 'basic');
    expect(refused.length).toBeGreaterThan(0);
  });
});
