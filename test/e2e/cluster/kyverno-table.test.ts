import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { policiesForConfig } from '../../../extension-service/src/core/engines/for-config.js';
import { imageTable } from '../../../extension-service/src/core/engines/mutating-admission-policy/image-table.js';
import type { TablePage } from '../../../extension-service/src/core/engines/kyverno-table/pages.js';
import { tableDefinition } from '../../../extension-service/src/core/engines/kyverno-table/objects.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { freePort } from '../../fakes/free-port.js';
import type { Until } from '../../fakes/until.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { parse } from '../../unit/config/parsing.js';
import { expectOk } from './kube-api.js';
import type { ApiObject } from './kube-api.js';
import { KyvernoTableWorld, TABLE_RIGHTS, UNDECIDED_NAMESPACE } from './kyverno-table-world.js';
import { containers, EXCLUDED_NAMESPACE } from './mirrored-world.js';
import { WATCHING } from './service-account.js';

const available = await goToolsAvailable('the table that Kyverno reads');
const ENTRY: ApiObject = {
  apiVersion: 'kyverno.io/v2',
  kind: 'GlobalContextEntry',
  metadata: { name: 'image-swapper' },
};
const page = (index = 0): ApiObject => ({
  apiVersion: 'image-swapper.io/v1alpha1',
  kind: 'ImageTable',
  metadata: { name: `image-swapper-${index}` },
});

describe.skipIf(!available)('the table that Kyverno reads', () => {
  let world: KyvernoTableWorld;
  /** An image that the table has. */
  let image: string;
  const until: Until = (...asked) => world.until(...asked);
  const create: KyvernoTableWorld['create'] = (...of) => world.create(...of);
  const admitted: KyvernoTableWorld['admitted'] = (...of) => world.admitted(...of);
  const seen: KyvernoTableWorld['seen'] = (...of) => world.seen(...of);

  beforeAll(async () => {
    world = await KyvernoTableWorld.start();
    await until('Kyverno asks the service', async () => (await seen(containers('unknown.test/x:1')))[1] === 1);
    image = await inTable();
  }, 300_000);
  afterAll(async () => world?.stop(), 60_000);

  /** Runs a new image once, and waits until Kyverno swaps it without a call. */
  async function inTable(): Promise<string> {
    const image = await world.push();
    expectOk(await create(containers(image)), 'create the Pod');
    await isKnown(image);
    return image;
  }

  async function isKnown(image: string): Promise<void> {
    await until(`${image} is swapped without a call`, async () => {
      const [now, calls] = await seen(containers(image));
      return now === world.swapped(image) && calls === 0;
    });
  }

  it('calls the service for an unknown image, and no longer once the table has it', async () => {
    const later = await world.push();
    expect(await seen(containers(later))).toEqual([later, 1]);
    expectOk(await create(containers(later)), 'create the Pod');
    await until('it is copied', () => world.isMirrored(later));
    await isKnown(later);
    const { body } = expectOk(await world.plane.api.get(page()), 'read the table');
    expect(JSON.stringify(body)).toContain(`":"${world.swapped(later)}"`);
  }, 120_000);

  it('decides every place of a Pod, opt-outs, filters and namespaces as the service does', async () => {
    const to = world.swapped(image);
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
    const skipContainers = { annotations: { 'image-swapper.io/skip-containers': 'c1, first, volumes/model' } };
    expect(await seen(pod)).toEqual([to, to, to, image, to, 0]);
    expect(await seen(pod, skipContainers)).toEqual([to, image, image, image, image, 0]);
    expect(await seen(containers(image), { labels: { 'image-swapper.io/skip': 'true' } })).toEqual([image, 0]);
    expect(await seen(containers(image), { labels: { tier: 'system' } })).toEqual([image, 0]);
    expect(await seen(containers(image), {}, EXCLUDED_NAMESPACE)).toEqual([image, 0]);
    expect(await seen(containers(to))).toEqual([to, 0]);
    expect(await seen(containers(to, image))).toEqual([to, to, 0]);
    // Only the service can decide these.
    expect(await seen(containers(image), {}, UNDECIDED_NAMESPACE)).toEqual([to, 1]);
    const kept = { containers: [{ name: 'c0', image, args: ['kept'] }] };
    expect(await seen(kept, {}, UNDECIDED_NAMESPACE)).toEqual([image, 1]);
    expect(await seen(kept)).toEqual([to, 0]);
    // An image that nothing can parse, and an unknown one: the service decides the whole Pod.
    expect(await seen(containers(image, 'NOT a reference'))).toEqual([to, 'NOT a reference', 1]);
    expect(await seen(containers('unknown.test/x:1', image))).toEqual(['unknown.test/x:1', to, 1]);
  }, 120_000);

  it('swaps new ephemeral containers without a call, and keeps those that exist', async () => {
    const later = await world.push();
    expectOk(await create(containers('unknown.test/x:1'), { name: 'debugged' }), 'create the Pod');
    expect(await world.debug('debugged', later)).toEqual([later]);
    await isKnown(later);
    const before = await world.calls();
    expect(await world.debug('debugged', later, image)).toEqual([later, world.swapped(image)]);
    expect(await world.calls()).toBe(before);
  }, 120_000);

  it('swaps to the target that selects an image, and adds what the configuration adds', async () => {
    const namespace = 'several';
    await world.plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    const page = (target: string, host: string, ...sources: readonly string[]) => ({
      target,
      images: Object.fromEntries(sources.map((source) => [source, `${host}/${source}`])),
    });
    const pages = [
      page('cache', 'cache.test', 'quay.io/a/b:1'),
      page('first', 'first.test', 'docker.io/library/nginx:1'),
      page('main', 'main.test', 'docker.io/library/nginx:1', 'docker.io/library/busybox:1', 'quay.io/other:1'),
    ];
    // Nothing listens there, so a Pod about which Kyverno would ask stays as it is.
    const objects = severalTargets(`http://127.0.0.1:${await freePort()}`, pages);
    try {
      for (const object of objects) await world.plane.api.apply(object);
      const images = (...of: readonly (readonly [name: string, image: string])[]) => ({
        containers: of.map(([name, one]) => ({ name, image: one })),
      });
      const first = images(['a', 'nginx:1'], ['b', 'nginx:1'], ['c', 'quay.io/a/b:1']);
      const to = [
        'first.test/docker.io/library/nginx:1',
        'main.test/docker.io/library/nginx:1',
        'cache.test/quay.io/a/b:1',
      ];
      await until('its policy is in effect', async () => (await admitted(first, {}, namespace))[1] === to[1]);
      expect(await admitted(first, {}, namespace)).toEqual(to);
      // The target of the match does not have it, and neither does the one with the path.
      for (const other of [images(['a', 'busybox:1']), images(['b', 'quay.io/other:1'])])
        expect(await admitted(other, {}, namespace)).toEqual(other.containers.map((one) => one.image));
      const { body } = expectOk(await create(first, {}, namespace, '?dryRun=All'), 'create the Pod');
      expect(body).toMatchObject({
        metadata: {
          annotations: { 'image-swapper.io/original-images': '{"a":"nginx:1","b":"nginx:1","c":"quay.io/a/b:1"}' },
        },
        spec: { imagePullSecrets: [{ name: 'mirror' }] },
      });
      // The service adds to the annotation of an earlier pass, and compares platforms.
      const earlier = { annotations: { 'image-swapper.io/original-images': '{}' } };
      expect(await admitted(images(['b', 'nginx:1']), earlier, namespace)).toEqual(['nginx:1']);
      const onNodes = (nodeSelector: object) => ({ ...images(['b', 'nginx:1']), nodeSelector });
      expect(await admitted(onNodes({ 'kubernetes.io/arch': 'arm64' }), {}, namespace)).toEqual(['nginx:1']);
      expect(await admitted(onNodes({ 'kubernetes.io/arch': 'amd64', disk: 'ssd' }), {}, namespace)).toEqual([to[1]]);
    } finally {
      for (const object of [...objects].reverse()) await world.plane.api.remove(object);
    }
  }, 120_000);

  it('does not apply an entry of the table that is outside the targets', async () => {
    const { body } = expectOk(await world.plane.api.get(page()), 'read the table');
    const live = body as ApiObject & { readonly spec: { readonly images: Readonly<Record<string, string>> } };
    const images = Object.fromEntries(Object.keys(live.spec.images).map((key) => [key, 'other.test/forged:1']));
    // Another object, so that the leader does not undo it while the test runs.
    const forged = { ...page(5), spec: { ...live.spec, images } };
    await world.plane.api.apply(forged);
    await world.plane.api.remove(page());
    try {
      await until('Kyverno asks the service', async () => (await seen(containers(image)))[1] === 1);
      expect(await admitted(containers(image))).toEqual([world.swapped(image)]);
    } finally {
      await world.plane.api.remove(forged);
    }
    // A new image makes the leader look at its objects before 30 s are over.
    await inTable();
    await isKnown(image);
  }, 120_000);

  it('calls the service while Kyverno has no data, and no longer once the leader has written it again', async () => {
    await world.plane.api.remove(ENTRY);
    await until('Kyverno asks the service', async () => (await seen(containers(image)))[1] === 1);
    expect(await admitted(containers(image))).toEqual([world.swapped(image)]);
    await isKnown(image);
    const definition = tableDefinition()[0] as unknown as ApiObject;
    await world.plane.api.remove(definition);
    await until('Kyverno asks the service', async () => (await seen(containers(image)))[1] === 1);
    await until('the log says what to apply', async () =>
      Promise.resolve(world.service.log.some(({ message }) => message.includes('apply the CustomResourceDefinition'))),
    );
    expect(await admitted(containers(image))).toEqual([world.swapped(image)]);
    await until('the definition is gone', async () => (await world.plane.api.get(definition)).status === 404);
    await world.define();
    await isKnown(image);
  }, 240_000);

  it('reports missing rights and calls the service meanwhile', async () => {
    const later = await world.push();
    await world.grant(WATCHING);
    expectOk(await create(containers(later)), 'create the Pod');
    await until('the log names the right', async () =>
      Promise.resolve(
        world.service.log.some(({ message }) => /ImageTable image-swapper-0: not allowed:.*grant/.test(message)),
      ),
    );
    await until('the service swaps it', async () => (await admitted(containers(later)))[0] === world.swapped(later));
    expect(await seen(containers(later))).toEqual([world.swapped(later), 1]);
    expect(await seen(containers(image))).toEqual([world.swapped(image), 0]);
    await world.grant(TABLE_RIGHTS);
    await isKnown(later);
  }, 180_000);

  it('swaps known images while the service is away, and keeps the table afterwards', async () => {
    await world.service.stop('SIGKILL');
    expect(await admitted(containers(image, image))).toEqual([world.swapped(image), world.swapped(image)]);
    // Only the service can decide a Pod with an unknown image.
    expect(await admitted(containers(image, 'unknown.test/x:1'))).toEqual([image, 'unknown.test/x:1']);
    await world.serve();
    await isKnown(image);
    const other = await inTable();
    expect(await seen(containers(image, other))).toEqual([world.swapped(image), world.swapped(other), 0]);
  }, 180_000);

  it('asks the service about private images with source.accessCheck, and not about public ones', async () => {
    const closed = await world.push(world.closedSource);
    const secret = { imagePullSecrets: [{ name: 'login' }] };
    await world.putLogin();
    await world.service.stop();
    await world.serve('pullSecrets');
    expectOk(await create({ ...containers(closed, image), ...secret }), 'create the Pod');
    await until('the private image is copied', () => world.isMirrored(closed));
    await isKnown(image);
    const to = world.swapped(closed);
    await until('the service swaps it', async () => (await admitted({ ...containers(closed), ...secret }))[0] === to);
    expect(await seen({ ...containers(closed), ...secret })).toEqual([to, 1]);
    expect(await seen(containers(closed))).toEqual([closed, 1]);
  }, 240_000);
});

/** The objects of a configuration with three targets, of which one has only images of quay.io and one a `match`. */
function severalTargets(url: string, pages: readonly TablePage[]): readonly ApiObject[] {
  const { config } = parse(
    stringify({
      targets: [
        { name: 'cache', oci: { registry: 'cache.test' }, paths: { 'quay.io': 'quay.io' } },
        { name: 'first', oci: { registry: 'first.test' }, match: "container.name == 'a'", platforms: ['linux/amd64'] },
      ],
      target: { name: 'main', oci: { registry: 'main.test' } },
      pods: { pullSecret: 'mirror', annotate: true },
      policies: { manage: true, table: true, name: 'several' },
    }),
  );
  const none = imageTable([], new Map());
  return policiesForConfig(config, {
    ...{ engine: 'kyverno', name: 'several', url, nameTarget: namingTarget, managed: true },
    tables: { large: none, recent: none, objects: { pages, reload: '1' } },
  }) as unknown as readonly ApiObject[];
}
