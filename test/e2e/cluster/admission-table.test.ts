import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get } from '../../fakes/https-client.js';
import type { Until } from '../../fakes/until.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { expectOk } from './kube-api.js';
import type { ApiObject } from './kube-api.js';
import { containers, imagesOf } from './mirrored-world.js';
import { NAMESPACE } from './pods.js';
import { WATCHING } from './service-account.js';
import { SidecarWebhook } from './sidecar-webhook.js';
import { TABLE_AND_WEBHOOK_RIGHTS, TABLE_POLICIES, TABLE_RIGHTS, TableWorld } from './table-world.js';

const available = await goToolsAvailable("the API server's own table of images");
/** The permissions that the chart grants with `secretReader.enabled`. */
const READ_SECRETS = { apiGroups: [''], resources: ['secrets', 'serviceaccounts'], verbs: ['get', 'list', 'watch'] };

const POLICY = { apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingAdmissionPolicy' };
const policyNamed = (name: string): ApiObject => ({ ...POLICY, metadata: { name } });

describe.skipIf(!available)("the API server's own table of images", () => {
  let world: TableWorld;
  const until: Until = (...asked) => world.until(...asked);
  const create: TableWorld['create'] = (...of) => world.create(...of);
  const admitted: TableWorld['admitted'] = (...of) => world.admitted(...of);

  beforeAll(async () => {
    world = await TableWorld.start();
  }, 180_000);
  afterAll(async () => world?.stop(), 60_000);

  /** Runs a new image once, so that the watch sees it, and waits until the API server swaps it. */
  async function inTable(): Promise<string> {
    const image = await world.push();
    expect(imagesOf(expectOk(await create(containers(image)), 'create the Pod'))).toEqual([image]);
    await until(`${image} is swapped by the API server`, async () => (await admitted(containers(image)))[0] !== image);
    return image;
  }

  async function explained(image: string): Promise<unknown> {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' } };
    const body = JSON.stringify({ image, namespace: NAMESPACE });
    const response = await fetch(`${world.service.url}/v1/explain`, { ...init, body });
    return ((await response.json()) as { readonly containers: readonly unknown[] }).containers[0];
  }

  async function metric(name: string): Promise<number> {
    const { text } = await get(`${world.service.operations}/metrics`);
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  }

  it('swaps an unknown image from its second Pod on, without a call', async () => {
    const image = await inTable();
    expect(await admitted(containers(image, 'unknown.test/x:1'))).toEqual([world.swapped(image), 'unknown.test/x:1']);
    expect(await world.calls()).toBe(0);
    expect(await explained(image)).toMatchObject({
      swapped: true,
      table: { state: 'present', since: expect.any(String) as string },
    });
    expect(await explained('unknown.test/x:1')).toMatchObject({ swapped: false, table: { state: 'absent' } });
    expect(await metric('image_swapper_table_entries')).toBe(1);
    expect(await metric('image_swapper_table_writes_total')).toBeGreaterThan(0);
  }, 90_000);

  it('swaps every place of a Pod, and leaves what is opted out, filtered or excluded', async () => {
    const image = await inTable();
    const pod = {
      ...containers(image, image),
      initContainers: [
        { name: 'first', image },
        { name: 'left', image },
      ],
      volumes: [
        { name: 'model', image: { reference: image } },
        { name: 'empty', emptyDir: {} },
      ],
    };
    const to = world.swapped(image);
    expect(await admitted(pod)).toEqual([to, to, to, image, to]);
    expect(
      await admitted(pod, { annotations: { 'image-swapper.io/skip-containers': 'c1, first, volumes/model' } }),
    ).toEqual([...[to, image, image, image, image]]);
    expect(await admitted(containers(image), { labels: { 'image-swapper.io/skip': 'true' } })).toEqual([image]);
    expect(await admitted(containers(image), { annotations: { 'image-swapper.io/skip': 'true' } })).toEqual([image]);
    expect(await admitted(containers(image), { labels: { tier: 'system' } })).toEqual([image]);
    expect(await admitted(containers(image), {}, 'monitoring')).toEqual([image]);
    expect(await admitted(containers(to))).toEqual([to]);
  }, 90_000);

  it('swaps new ephemeral containers and keeps the old ones when their image becomes known', async () => {
    const known = await inTable();
    const later = await world.push();
    expectOk(await create(containers('unknown.test/x:1'), { name: 'debugged' }), 'create the Pod');
    expect(await world.debug('debugged', later)).toEqual([later]);
    await until(`${later} is swapped`, async () => (await admitted(containers(later)))[0] !== later);
    expect(await world.debug('debugged', later, known)).toEqual([later, world.swapped(known)]);
  }, 90_000);

  it('swaps the sidecar of a later webhook, also in a Pod that names the mirror already', async () => {
    const image = await inTable();
    const webhook = await SidecarWebhook.start(image);
    const labels = { sidecar: 'wanted' };
    try {
      await world.plane.api.apply(webhook.configuration);
      await until('the webhook is called', async () => {
        return (await admitted(containers('unknown.test/x:1'), { labels })).length === 2;
      });
      expect(await admitted(containers(world.swapped(image)), { labels })).toEqual([
        world.swapped(image),
        world.swapped(image),
      ]);
    } finally {
      await world.plane.api.remove(webhook.configuration);
      await webhook.stop();
    }
  }, 90_000);

  it('continues to swap mirrored images while the service is unavailable, and keeps the table afterwards', async () => {
    const image = await inTable();
    const before = await entries();
    await world.service.stop('SIGKILL');
    expect(await admitted(containers(image))).toEqual([world.swapped(image)]);
    await world.serve();
    const other = await inTable();
    expect(await admitted(containers(image, other))).toEqual([world.swapped(image), world.swapped(other)]);
    expect(await entries()).toBe(before + 1);
  }, 120_000);

  it('writes nothing while nothing changes', async () => {
    const versions = async () =>
      Promise.all(
        TABLE_POLICIES.map(async (name) => {
          const { body } = expectOk(await world.plane.api.get(policyNamed(name)), 'read the policy');
          return (body as ApiObject).metadata['resourceVersion'];
        }),
      );
    const before = await versions();
    const writes = await metric('image_swapper_table_writes_total');
    // This is longer than the pause between two writes.
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    expect(await versions()).toEqual(before);
    expect(await metric('image_swapper_table_writes_total')).toBe(writes);
  }, 60_000);

  it('recreates a deleted policy', async () => {
    const image = await inTable();
    await world.plane.api.remove(policyNamed('image-swapper-recent'));
    await until(
      'the policy is there again',
      async () => (await world.plane.api.get(policyNamed(TABLE_POLICIES[1]))).status === 200,
    );
    await until(
      'its images are swapped again',
      async () => (await admitted(containers(image)))[0] === world.swapped(image),
    );
  }, 120_000);

  it('reports missing rights, and swaps new images once it has the rights again', async () => {
    const image = await world.push();
    await world.grant(WATCHING);
    expectOk(await create(containers(image)), 'create the Pod');
    await until('the log names the right', async () =>
      Promise.resolve(
        world.service.log.some(({ message }) => /image-swapper-recent: not allowed:.*grant/.test(message)),
      ),
    );
    expect(await admitted(containers(image))).toEqual([image]);
    await world.grant(TABLE_RIGHTS);
    await until('it is swapped', async () => (await admitted(containers(image)))[0] === world.swapped(image));
  }, 120_000);

  it('sends only Pods to the service that a filter may affect which CEL cannot evaluate', async () => {
    const image = await inTable();
    const webhook = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'image-swapper' },
    };
    await world.grant(TABLE_AND_WEBHOOK_RIGHTS);
    await world.plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'play' } });
    await world.service.stop();
    await world.serve({
      webhook: true,
      filters: ["obj.metadata.namespace == 'play' && obj.spec.containers[0].args[0] == 'kept'"],
    });
    /** Returns the images of a Pod in that namespace, and the calls of the service for it. */
    const seen = (spec: object, metadata: object = {}, namespace = 'play') => world.seen(spec, metadata, namespace);
    const kept = { containers: [{ name: 'c0', image, args: ['kept'] }] };
    const to = world.swapped(image);
    // Until then, the policies of the previous configuration swap it.
    await until('the service is called', async () => (await seen(containers(image)))[1] === 1);

    expect(await seen(containers(image))).toEqual([to, 1]);
    expect(await seen(kept)).toEqual([image, 1]);
    // The service decides every image of such a Pod, and copies the ones that the target does not have.
    const absent = await world.push();
    expectOk(await create(containers(image, absent), {}, 'play'), 'create the Pod');
    await until('it is copied', () => world.isMirrored(absent));
    // The service learns a moment later that its copy has ended.
    const both = async (): Promise<readonly string[]> => admitted(containers(image, absent), {}, 'play');
    await until('the copy is swapped to', async () => (await both())[1] === world.swapped(absent));
    expect(await seen(containers(image, absent))).toEqual([to, world.swapped(absent), 1]);
    // All others are decided without a call, with the table of the previous leader.
    expect(await seen(kept, {}, NAMESPACE)).toEqual([to, 0]);
    expect(await seen(containers(image, 'unknown.test/x:1'), {}, NAMESPACE)).toEqual([to, 'unknown.test/x:1', 0]);
    expect(await seen(containers(image), { labels: { tier: 'system' } })).toEqual([image, 0]);
    expect(await seen(containers(image), { labels: { 'image-swapper.io/skip': 'true' } })).toEqual([image, 0]);
    expect(await seen({ containers: [{ name: 'left', image }] })).toEqual([image, 0]);
    expect(await seen(containers(to))).toEqual([to, 0]);

    for (const permissions of ['all', 'service'] as const) {
      // The service may not read the policies of other engines.
      const checked = (await world.check(permissions)).filter(({ policy }) =>
        /^Mutating(Admission|Webhook)/.test(policy),
      );
      expect(checked.filter(({ ok, isUnknown }) => !ok || isUnknown === true)).toEqual([]);
      expect(checked).toHaveLength(6);
      expect(checked.at(-1)?.message).toMatch(/^calls 127\.0\.0\.1:\d+, whose certificate it accepts$/);
    }

    // Without the service, these Pods keep their images, and all others are swapped.
    await world.service.stop('SIGKILL');
    expect(await admitted(containers(image), {}, 'play')).toEqual([image]);
    expect(await admitted(kept)).toEqual([to]);

    // Without the filter, the API server decides everything again, and the webhook is deleted.
    await world.serve();
    await until('the webhook is deleted', async () => (await world.plane.api.get(webhook)).status === 404);
    await until('it is swapped without a call', async () => (await admitted(containers(image), {}, 'play'))[0] === to);
    expect(await world.calls()).toBe(0);
  }, 240_000);

  it('keeps the source of images that needed a pull secret with source.accessCheck, and swaps the others', async () => {
    const open = await inTable();
    const closed = await world.push(world.closedSource);
    const spec = { ...containers(closed, open), imagePullSecrets: [{ name: 'login' }] };
    await world.putLogin();
    await world.grant({ ...TABLE_RIGHTS, cluster: [...(TABLE_RIGHTS.cluster ?? []), READ_SECRETS] });
    await world.service.stop();
    await world.serve({ accessCheck: 'pullSecrets' });
    expectOk(await create(spec), 'create the Pod');
    await until('the private image is copied', () => world.isMirrored(closed));
    // The table has an image that was copied later, but not the private image.
    await inTable();
    await until('the public image is swapped again', async () => (await admitted(spec))[1] === world.swapped(open));
    expect(await admitted(spec)).toEqual([closed, world.swapped(open)]);
    expect(await explained(closed)).toMatchObject({ swapped: false, table: { state: 'absent' } });
    expect(JSON.stringify((await world.plane.api.get(policyNamed('image-swapper-recent'))).body)).not.toContain(
      closed.slice(closed.indexOf('/') + 1, -2),
    );
    // Without the access check, the private image is treated like any other image.
    await world.service.stop();
    await world.serve();
    await until('the private image is swapped', async () => (await admitted(spec))[0] === world.swapped(closed));
    // A table of all images is not reused as a table of public images.
    await world.service.stop();
    await world.serve({ accessCheck: 'pullSecrets' });
    await until('the private image is not swapped', async () => (await admitted(spec))[0] === closed);
  }, 240_000);

  /** Returns the number of images in both policies, counted in the API server's objects. */
  async function entries(): Promise<number> {
    let count = 0;
    for (const name of TABLE_POLICIES) {
      const { body } = expectOk(await world.plane.api.get(policyNamed(name)), 'read the policy');
      count += [...JSON.stringify(body).matchAll(/\\"app-\d+\\":/g)].length;
    }
    return count;
  }
});
