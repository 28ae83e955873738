import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildImage } from '../../fakes/images.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { RunningService } from '../../fakes/service.js';
import { pushImage } from '../../bench/push-image.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import type { ApiObject } from './kube-api.js';
import { WATCHING, serviceAccount } from './service-account.js';
import { untilWith } from '../../fakes/until.js';

const available = await goToolsAvailable('the watch of workloads at a real API server');

describe.skipIf(!available)('the watch of workloads at a real API server', () => {
  let plane: ControlPlane;
  let source: RealRegistry;
  let target: RealRegistry;
  let kubeconfig: string;
  const services: RunningService[] = [];
  let pushed = 0;

  beforeAll(async () => {
    [plane, source, target] = await Promise.all([ControlPlane.start(), RealRegistry.start(), RealRegistry.start()]);
    kubeconfig = join(plane.folder, 'service-kubeconfig');
    const account = { namespace: 'image-swapper', name: 'image-swapper', rights: WATCHING };
    await writeFile(kubeconfig, await serviceAccount(plane.api, account));
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team-a' } });
  }, 180_000);
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop('SIGKILL')));
    await Promise.all([plane?.stop(), source?.stop(), target?.stop()]);
  }, 60_000);

  async function push(name: string): Promise<string> {
    pushed += 1;
    await pushImage(source.host, name, buildImage({ seed: pushed, layerSize: 2_000 }), '1');
    return `${source.host}/${name}:1`;
  }

  async function start(more = ''): Promise<RunningService> {
    const service = await RunningService.start({
      config: [
        `target: {type: oci, oci: {registry: '${target.host}', prefix: mirror, insecure: true}}`,
        `source: {registries: [{type: oci, oci: {registry: '${source.host}', insecure: true}}]}`,
        more,
      ].join('\n'),
      env: { KUBECONFIG: kubeconfig },
      plain: true,
    });
    services.push(service);
    return service;
  }

  /** Returns whether the target's API already lists the image. */
  async function mirrored(name: string): Promise<boolean> {
    const repository = `mirror/127.0.0.1_${source.port}/${name}`;
    const response = await fetch(`http://${target.host}/v2/${repository}/manifests/1`, { method: 'HEAD' });
    return response.status === 200;
  }
  const until = untilWith(() =>
    services.flatMap(({ log }) => log.slice(-30).map((line) => JSON.stringify(line))).join('\n'),
  );

  it('mirrors the images of Pods and templates of every kind, including those created before its start', async () => {
    const pod = { containers: [{ name: 'app', image: await push('before') }] };
    await plane.api.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'before', namespace: 'team-a' },
      spec: pod,
    });
    await start();
    await until('the Pod of before', () => mirrored('before'));
    const kinds: readonly (readonly [string, string, (template: object) => object])[] = [
      ['apps/v1', 'Deployment', (template) => ({ ...selecting(template), replicas: 0 })],
      ['apps/v1', 'StatefulSet', (template) => ({ ...selecting(template), serviceName: 'none' })],
      ['apps/v1', 'DaemonSet', selecting],
      ['apps/v1', 'ReplicaSet', (template) => ({ ...selecting(template), replicas: 0 })],
      ['batch/v1', 'Job', (template) => ({ template: ending(template) })],
      [
        'batch/v1',
        'CronJob',
        (template) => ({ schedule: '0 0 * * *', jobTemplate: { spec: { template: ending(template) } } }),
      ],
    ];
    for (const [apiVersion, kind, spec] of kinds) {
      const name = kind.toLowerCase();
      const image = await push(name);
      const template = {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'app', image }] },
      };
      const object: ApiObject = { apiVersion, kind, metadata: { name, namespace: 'team-a' }, spec: spec(template) };
      const { status, body } = await plane.api.create(object);
      expect(status, JSON.stringify(body)).toBe(201);
      await until(`the image of the ${kind}`, () => mirrored(name));
    }
  }, 90_000);
});

function selecting(template: object): object {
  const { metadata } = template as { readonly metadata: { readonly labels: object } };
  return { selector: { matchLabels: metadata.labels }, template };
}

function ending(template: object): object {
  const { spec } = template as { readonly spec: object };
  return { ...template, spec: { ...spec, restartPolicy: 'Never' } };
}
