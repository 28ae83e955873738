import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildImage, loadImage } from '../../fakes/images.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import { pushImage } from '../../bench/push-image.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { expectOk } from './kube-api.js';
import type { ApiObject } from './kube-api.js';
import { WATCHING, serviceAccount } from './service-account.js';
import { metric } from '../../integration/loopback/world.js';
import { untilWith } from '../../fakes/until.js';

/** A script for Node's `--require`: all clocks except monotonic ones are ahead by the minutes in a file. */
const MOVABLE_CLOCK = `
const { readFileSync } = require('node:fs');
const Real = Date;
const now = Real.now;
let ahead = 0;
setInterval(() => { ahead = Number(readFileSync(process.env.MINUTES_AHEAD, 'utf8')) * 60_000; }, 100).unref();
Real.now = () => now() + ahead;
globalThis.Date = class extends Real {
  constructor(...args) { if (args.length === 0) super(Real.now()); else super(...args); }
};
`;

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

  async function start(more = '', from = source.host, env = {}): Promise<RunningService> {
    const service = await RunningService.start({
      config: [
        `target: {type: oci, oci: {registry: '${target.host}', prefix: mirror, insecure: true}}`,
        `source: {registries: [{type: oci, oci: {registry: '${from}', insecure: true}}]}`,
        more,
      ].join('\n'),
      env: { KUBECONFIG: kubeconfig, ...env },
      plain: true,
    });
    services.push(service);
    return service;
  }

  /** Returns whether the target's API already lists the image. */
  async function mirrored(name: string, from = source.host): Promise<boolean> {
    const repository = `mirror/${from.replace(':', '_')}/${name}`;
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

  it('reports a tag that its source has lost as an Event of the workload, and keeps the copy', async () => {
    await Promise.all(services.splice(0).map((service) => service.stop()));
    const registry = await FakeRegistry.start();
    try {
      const image = buildImage({ seed: 1_000, platforms: ['linux/amd64'] });
      loadImage(registry, 'lost', image, '1');
      const { body } = expectOk(await plane.api.create(deploymentOf('lost', `${registry.host}/lost:1`)), 'create');
      const { uid } = (body as { readonly metadata: { readonly uid: string } }).metadata;
      const [script, minutes] = [join(plane.folder, 'clock.cjs'), join(plane.folder, 'minutes-ahead')];
      await writeFile(script, MOVABLE_CLOCK);
      await writeFile(minutes, '0');
      const env = { NODE_OPTIONS: `--require=${script}`, MINUTES_AHEAD: minutes };
      const service = await start('mirror: {refresh: {interval: 30m}}', registry.host, env);
      await until('the copy', () => mirrored('lost', registry.host));
      registry.deleteManifest('lost', '1');
      registry.deleteManifest('lost', image.digest);

      const lookups = (): number => registry.requests(({ path }) => path.endsWith('/lost/manifests/1')).length;
      const vanished = (): Promise<readonly LostEvent[]> => eventsOf(uid, 'SourceVanished');
      const found = lookups();
      let [ahead, before, moved] = [0, -1, 0];
      await until('the Event', async () => {
        if ((await vanished()).length > 0) return true;
        // If the clock moves before a check is recorded, the next one is due only after another interval.
        if (lookups() === before && performance.now() - moved < 5_000) return false;
        [ahead, before, moved] = [ahead + 31, lookups(), performance.now()];
        // A reader never sees an empty file.
        await writeFile(`${minutes}.new`, String(ahead));
        await rename(`${minutes}.new`, minutes);
        return false;
      });
      expect(lookups() - found).toBeGreaterThanOrEqual(3);
      expect(await vanished()).toEqual([
        expect.objectContaining({
          type: 'Warning',
          involvedObject: expect.objectContaining({
            kind: 'Deployment',
            namespace: 'team-a',
            name: 'lost',
            uid,
          }) as object,
          message: expect.stringMatching(
            new RegExp(
              `^${registry.host}/lost:1 has been gone from its registry since .*; ${target.host}/.* is kept: `,
            ),
          ) as string,
        }),
      ]);
      await until('the metric', async () => (await metric(service, 'image_swapper_vanished_sources')) === 1);
      expect(await mirrored('lost', registry.host)).toBe(true);
    } finally {
      await registry.close();
    }
  }, 300_000);

  async function eventsOf(uid: string, reason: string): Promise<readonly LostEvent[]> {
    const selector = encodeURIComponent(`involvedObject.uid=${uid},reason=${reason}`);
    const path = `/api/v1/namespaces/team-a/events?fieldSelector=${selector}`;
    const { body } = expectOk(await plane.api.send('GET', path), 'list Events');
    return (body as { readonly items: readonly LostEvent[] }).items;
  }
});

interface LostEvent {
  readonly type: string;
  readonly message: string;
  readonly involvedObject: object;
}

function deploymentOf(name: string, image: string): ApiObject {
  const template = { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'app', image }] } };
  const spec = { ...selecting(template), replicas: 0 };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace: 'team-a' }, spec };
}

function selecting(template: object): object {
  const { metadata } = template as { readonly metadata: { readonly labels: object } };
  return { selector: { matchLabels: metadata.labels }, template };
}

function ending(template: object): object {
  const { spec } = template as { readonly spec: object };
  return { ...template, spec: { ...spec, restartPolicy: 'Never' } };
}
