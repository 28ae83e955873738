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
import { metric } from '../../integration/loopback/world.js';
import { ControlPlane } from './control-plane.js';
import { GatedCluster } from './gated-cluster.js';
import type { GatedNamespace } from './gated-cluster.js';
import { expectOk } from './kube-api.js';
import { create, imagesOf, pod, stored } from './pods.js';
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

  async function eventsOf(
    reason: string,
    { kind, namespace, name } = { kind: 'Deployment', namespace: 'team-a', name: 'web' },
  ): Promise<readonly { readonly message: string }[]> {
    const selector = encodeURIComponent(`involvedObject.name=${name},involvedObject.kind=${kind},reason=${reason}`);
    const { body } = expectOk(
      await plane.api.send('GET', `/api/v1/namespaces/${namespace}/events?fieldSelector=${selector}`),
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

  describe('of signatures and webhooks', () => {
    let gated: GatedCluster;

    beforeAll(async () => {
      gated = await GatedCluster.start({ plane, source, target, folder, kubeconfig: join(folder, 'service') });
    }, 600_000);
    afterAll(async () => gated?.stop(), 60_000);

    it('swap the next Pod of an image that is signed with a key of cosign', async () => {
      const signed = gated.image();
      await gated.sign(signed, 'cosign');
      const first = pod(signed.reference, {}, { namespace: 'signed' });
      expect(await create(plane.api, first)).toMatchObject({ images: { app: signed.reference } });
      await gated.untilSwapped(signed.reference, 'signed');
      const next = pod(signed.reference, {}, { namespace: 'signed' });
      await create(plane.api, next);
      expect(imagesOf(await stored(plane.api, next))).toEqual({ app: gated.swapped(signed.reference, 'signed') });
      expect(gated.digestInTarget(signed.reference, 'signed')).toBe(signed.digest);
    }, 180_000);

    it.each<{
      readonly what: string;
      readonly namespace: GatedNamespace;
      readonly key?: 'other';
      readonly check: 'verify' | 'webhook';
      readonly verdict: 'held' | 'denied';
      readonly reason: RegExp;
    }>([
      {
        ...{ what: 'without a signature', namespace: 'signed', check: 'verify', verdict: 'held' },
        reason: /held by gate\.verify until \d{4}-\S+Z: its registry has no signature of it/,
      },
      {
        ...{ what: 'signed with another key', namespace: 'signed', key: 'other', check: 'verify', verdict: 'denied' },
        reason: /denied by gate\.verify: no signature is accepted: .*: no key of gate\.verify\.keys verifies it/,
      },
      {
        ...{ what: 'that the webhook denies', namespace: 'scanned', check: 'webhook', verdict: 'denied' },
        reason: /denied by gate\.webhook: CVE-2026-1 is critical/,
      },
      {
        ...{ what: 'while the webhook is unavailable', namespace: 'down', check: 'webhook', verdict: 'held' },
        reason: /held by gate\.webhook until \d{4}-\S+Z: the webhook .*(?:refused|ECONNREFUSED)/,
      },
    ])(
      'keep the source of an image $what, and say why',
      async ({ namespace, key, check, verdict, reason }) => {
        const image = gated.image();
        const { reference } = image;
        if (key !== undefined) await gated.sign(image, key);
        const labels = { target: namespace, verdict };
        const counted = async (): Promise<readonly number[]> => [
          await metric(gated.service, 'image_swapper_gated_images', labels),
          await metric(gated.service, 'image_swapper_gate_refusals_total', { ...labels, check }),
        ];
        const [gatedBefore = 0, refusedBefore = 0] = await counted();
        const first = pod(reference, {}, { namespace });
        await create(plane.api, first);
        const object = { kind: 'Pod', namespace, name: first.metadata.name };
        const event = verdict === 'held' ? 'MirrorHeld' : 'MirrorDenied';
        await gated.until('the Event', async () => (await eventsOf(event, object)).length > 0);
        expect((await eventsOf(event, object))[0]?.message).toMatch(reason);
        expect(await counted()).toEqual([gatedBefore + 1, refusedBefore + 1]);
        expect(await gated.explained(reference, namespace)).toMatch(reason);
        expect(await gated.statusOf(reference)).toMatch(new RegExp(reason.source.replace(/^(?:held|denied) by /, '')));

        const next = pod(reference, {}, { namespace });
        await create(plane.api, next);
        for (const made of [first, next]) expect(imagesOf(await stored(plane.api, made))).toEqual({ app: reference });
        expect(gated.digestInTarget(reference, namespace)).toBeUndefined();
      },
      180_000,
    );

    it('ask the webhook once for a digest that several Pods use', async () => {
      const { reference, digest } = gated.image();
      const asked = () => gated.scanner.log.map(({ body }) => JSON.parse(body) as object);
      await create(plane.api, pod(reference, {}, { namespace: 'scanned' }));
      const question = { reference, digest, platforms: ['linux/amd64'], target: 'scanned' };
      await gated.until('the call', () => asked().some((body) => JSON.stringify(body).includes(digest)));
      await create(plane.api, pod(reference, {}, { namespace: 'scanned' }));
      await gated.until('the status', async () => (await gated.statusOf(reference)) !== undefined);
      expect(asked().filter((body) => JSON.stringify(body).includes(digest))).toEqual([question]);
    }, 180_000);

    it('let an image through with onError allow while the webhook is unavailable, and report it', async () => {
      const { reference, digest } = gated.image();
      await create(plane.api, pod(reference, {}, { namespace: 'open' }));
      await gated.untilSwapped(reference, 'open');
      expect(gated.digestInTarget(reference, 'open')).toBe(digest);
      expect(gated.service.log.map(({ message }) => message)).toContainEqual(
        expect.stringMatching(/app-\d+:1: gate\.webhook lets it through \(onError allow\): the webhook /),
      );
    }, 180_000);

    it('refuse a Pod under imageCopyFailure deny with the reason, and admit the Pod of a signed image', async () => {
      const [unsigned, signed] = [gated.image(), gated.image()];
      await gated.sign(signed, 'cosign');
      const refused = pod(unsigned.reference, {}, { namespace: 'strict' });
      const admission = await create(plane.api, refused);
      expect(admission).toMatchObject({ admitted: false });
      expect(!admission.admitted && admission.message).toContain('its registry has no signature of it');
      expect((await plane.api.get(refused)).status).toBe(404);
      await gated.until('the signed image is admitted', async () => {
        return (await create(plane.api, pod(signed.reference, {}, { namespace: 'strict' }))).admitted;
      });
      const next = pod(signed.reference, {}, { namespace: 'strict' });
      await create(plane.api, next);
      expect(imagesOf(await stored(plane.api, next))).toEqual({ app: gated.swapped(signed.reference, 'strict') });
    }, 180_000);
  });
});
