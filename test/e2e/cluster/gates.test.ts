import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { expectOk } from './kube-api.js';
import { WATCHING, serviceAccount } from './service-account.js';
import type { Rights } from './service-account.js';

const available = await goToolsAvailable('gates at a real API server');

const NAMESPACE = 'image-swapper';
const MAP = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'image-swapper-first-seen', namespace: NAMESPACE },
};
/** The chart's rights with a gate. */
const WITH_GATE: Rights = {
  ...WATCHING,
  own: [
    ...(WATCHING.own ?? []),
    { apiGroups: [''], resources: ['configmaps'], resourceNames: [MAP.metadata.name], verbs: ['get', 'patch'] },
  ],
};
const image = buildImage({ platforms: ['linux/amd64'] });

describe.skipIf(!available)('gates at a real API server', () => {
  let plane: ControlPlane;
  let source: FakeRegistry;
  let target: FakeRegistry;
  let folder: string;
  let service: RunningService | undefined;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-gates-'));
    [plane, source, target] = await Promise.all([ControlPlane.start(), FakeRegistry.start(), FakeRegistry.start()]);
    loadImage(source, 'young', image, '1');
    for (const [name, rights] of [['service', WITH_GATE] as const, ['without-map', WATCHING] as const]) {
      await writeFile(join(folder, name), await serviceAccount(plane.api, { namespace: NAMESPACE, name, rights }));
    }
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team-a' } });
    const labels = { app: 'web' };
    const containers = [{ name: 'web', image: `${source.host}/young:1` }];
    await plane.api.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'team-a' },
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
    });
  }, 180_000);
  afterEach(async () => {
    await service?.stop('SIGKILL');
    service = undefined;
  });
  afterAll(async () => {
    await Promise.all([plane?.stop(), source?.close(), target?.close()]);
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  async function start(account: string): Promise<RunningService> {
    const registry = (host: string): object => ({ type: 'oci', oci: { registry: host, insecure: true } });
    const config = stringify({
      target: { ...registry(target.host), gate: { minimumAge: '72h' } },
      source: { registries: [registry(source.host)] },
      lease: { name: 'image-swapper' },
    });
    const env = { KUBECONFIG: join(folder, account), POD_NAME: account };
    service = await RunningService.start({ config, plain: true, env });
    return service;
  }

  async function storedTimes(): Promise<string> {
    const { body } = expectOk(await plane.api.get(MAP), 'get the ConfigMap');
    return (body as { readonly data?: Readonly<Record<string, string>> }).data?.['first-seen'] ?? '';
  }

  async function eventsOf(reason: string): Promise<readonly { readonly message: string }[]> {
    const selector = encodeURIComponent(`involvedObject.name=web,involvedObject.kind=Deployment,reason=${reason}`);
    const { body } = expectOk(
      await plane.api.send('GET', `/api/v1/namespaces/team-a/events?fieldSelector=${selector}`),
      'list Events',
    );
    return (body as { readonly items: readonly { readonly message: string }[] }).items;
  }

  const inTarget = (): boolean => target.manifest(`${source.host.replace(':', '_')}/young`, '1') !== undefined;
  const writes = (): string[] => target.requests().filter((line) => !/^(?:GET|HEAD) /.test(line));

  it('hold an image with the rights of the chart, store its time, and let it through when that time is over', async () => {
    expectOk(await plane.api.apply(MAP), 'create the ConfigMap');
    await start('service');
    await until('the time', async () => (await storedTimes()) !== '');
    expect(await storedTimes()).toMatch(new RegExp(`^${image.digest} \\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ\\n$`));
    await until('the Event', async () => (await eventsOf('MirrorHeld')).length > 0);
    expect((await eventsOf('MirrorHeld'))[0]?.message).toMatch(/held by gate\.minimumAge until \d{4}-/);
    expect(writes()).toEqual([]);
    await service?.stop('SIGKILL');
    const before = new Date(Date.now() - 73 * 3_600_000).toISOString().replace(/\.\d+Z$/, 'Z');
    const patch = { data: { 'first-seen': `${image.digest} ${before}\n` } };
    const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/${MAP.metadata.name}`;
    expectOk(await plane.api.send('PATCH', path, patch, 'application/merge-patch+json'), 'set the time back');
    await start('service');
    await until('the copy', inTarget);
    expect(await storedTimes()).toContain(before);
  }, 120_000);

  it('hold an image when the times cannot be stored, and name the missing right', async () => {
    loadImage(source, 'young', buildImage({ platforms: ['linux/amd64'], seed: 5 }), '2');
    const written = writes().length;
    const labels = { app: 'other' };
    await plane.api.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'other', namespace: 'team-a' },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: `${source.host}/young:2` }] } },
      },
    });
    const without = await start('without-map');
    const line = (): string | undefined =>
      without.log.find(({ message }) => message.includes(MAP.metadata.name))?.message;
    await until('the line', () => line() !== undefined);
    expect(line()).toMatch(
      /ConfigMap image-swapper\/image-swapper-first-seen: not allowed: .* cannot get resource .*grant the service get on it/,
    );
    expect(writes()).toHaveLength(written);
  }, 120_000);
});
