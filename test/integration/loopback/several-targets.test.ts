import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import type { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { World, admit, mirrors, pathOf, plainRegistry, settled } from './world.js';

/**
 * One service with several targets. The tests check which target gets an image, by which rule and with which
 * credentials.
 */

const PLATFORMS = ['linux/amd64', 'linux/arm64'] as const;
let world: World;
let source: FakeRegistry;
let partner: FakeRegistry;
let image: BuiltImage;

beforeEach(async () => {
  world = new World();
  [source, partner] = await Promise.all([world.registry(), world.registry()]);
  image = buildImage({ platforms: [...PLATFORMS], layerSize: 2_000 });
  for (const registry of [source, partner]) loadImage(registry, 'app', image, '1.0');
});
afterEach(() => world.close());

const app = (registry: FakeRegistry): string => `${registry.host}/app:1.0`;
const users = (registry: FakeRegistry): unknown[] =>
  [...new Set(registry.accessLog.map(({ user, path }) => (path === '/token' ? undefined : user)))].filter(Boolean);

describe('targets', () => {
  it('are chosen by namespace, source and label, each with its own policies, platforms and credentials', async () => {
    const [eu, partners, gold, rest] = await Promise.all([
      world.registry({ auth: { type: 'basic', users: { 'eu-pusher': 'eu-word' } } }),
      world.registry(),
      world.registry({ auth: { type: 'bearer', users: { 'gold-pusher': 'gold-word' } } }),
      world.registry(),
    ]);
    const service = await world.serve({
      source: { registries: [plainRegistry(source), plainRegistry(partner)] },
      targets: [
        {
          name: 'eu',
          match: "starts_with(obj.metadata.namespace, 'eu-')",
          imageCopyPolicy: 'immediate',
          platforms: ['linux/arm64'],
          ...plainRegistry(eu, { prefix: 'eu', credentials: { username: 'eu-pusher', password: 'eu-word' } }),
        },
        {
          name: 'partners',
          match: `starts_with(container.image, '${partner.host}/')`,
          imageSwapPolicy: 'always',
          imageCopyPolicy: 'none',
          ...plainRegistry(partners),
        },
        {
          name: 'gold',
          match: "obj.metadata.labels.tier == 'gold'",
          ...plainRegistry(gold, { credentials: { username: 'gold-pusher', password: 'gold-word' } }),
        },
      ],
      target: plainRegistry(rest),
    });

    // The namespace selects this target, although the label matches another. The Pod waits for the copy, which has only
    // one platform.
    const swapped = `${eu.host}/eu/${pathOf(source, 'app')}:1.0`;
    const labels = { tier: 'gold' };
    expect(await admit(service, { app: app(source) }, { namespace: 'eu-west', labels })).toEqual({ app: swapped });
    const [amd64, arm64] = PLATFORMS.map((platform) => image.platforms.get(platform) ?? '');
    expect(eu.manifest(`eu/${pathOf(source, 'app')}`, arm64 ?? '')).toBeDefined();
    expect(eu.manifest(`eu/${pathOf(source, 'app')}`, amd64 ?? '')).toBeUndefined();
    expect(users(eu)).toEqual(['eu-pusher']);

    // The source selects this target. The image is swapped without a lookup or a copy.
    const fromPartner = `${partners.host}/${pathOf(partner, 'app')}:1.0`;
    expect(await admit(service, { app: app(partner) })).toEqual({ app: fromPartner });
    expect(partners.accessLog).toEqual([]);
    expect(partner.accessLog).toEqual([]);

    // The label selects a target, and the default target gets the rest. Two containers of one Pod may have different
    // targets.
    const both = { app: app(source), partner: app(partner) };
    expect(await admit(service, both, { labels })).toEqual({ app: app(source), partner: fromPartner });
    expect(await admit(service, { app: app(source) })).toEqual({ app: app(source) });
    await settled(service);
    expect((await mirrors(service)).map(({ target, state }) => `${target} ${state}`).sort()).toEqual([
      'default done',
      'eu done',
      'gold done',
    ]);
    expect(await admit(service, { app: app(source) }, { labels })).toEqual({
      app: `${gold.host}/${pathOf(source, 'app')}:1.0`,
    });
    expect(await admit(service, { app: app(source) })).toEqual({ app: `${rest.host}/${pathOf(source, 'app')}:1.0` });
    for (const [registry, repository] of [
      [gold, pathOf(source, 'app')],
      [rest, pathOf(source, 'app')],
    ] as const) {
      for (const digest of image.platforms.values()) expect(registry.manifest(repository, digest)).toBeDefined();
    }
    expect(users(gold)).toEqual(['gold-pusher']);
    expect(rest.accessLog.filter(({ authorization }) => authorization !== undefined)).toEqual([]);

    // Images that are already in any target stay unchanged.
    for (const there of [swapped, fromPartner, `${gold.host}/x/y:1`]) {
      expect(await admit(service, { app: there }, { namespace: 'eu-west' })).toEqual({ app: there });
    }
  });

  it('that are pull-through caches are named by their paths and never pushed to', async () => {
    const [cache, looked, rest] = await Promise.all([world.registry(), world.registry(), world.registry()]);
    const service = await world.serve({
      source: { registries: [plainRegistry(source), plainRegistry(partner)] },
      targets: [
        {
          name: 'cache',
          match: "obj.metadata.namespace != 'looked'",
          imageSwapPolicy: 'always',
          imageCopyPolicy: 'none',
          ...plainRegistry(cache),
          paths: { [source.host]: 'docker-hub' },
        },
        { name: 'looked', imageCopyPolicy: 'none', ...plainRegistry(looked), paths: { [source.host]: 'proxy/hub' } },
      ],
      target: plainRegistry(rest),
    });
    const swapped = `${cache.host}/docker-hub/app:1.0`;
    expect(await admit(service, { app: app(source), partner: app(partner) })).toEqual({
      app: swapped,
      partner: app(partner),
    });
    expect(await admit(service, { app: swapped })).toEqual({ app: swapped });

    // With `exists`, the service requests the manifest, and a cache responds for its upstream registry.
    const inCache = `${looked.host}/proxy/hub/app:1.0`;
    expect(await admit(service, { app: app(source) }, { namespace: 'looked' })).toEqual({ app: app(source) });
    expect(new Set(looked.accessLog.map(({ path }) => path))).toEqual(new Set(['/v2/proxy/hub/app/manifests/1.0']));
    loadImage(looked, 'proxy/hub/other', image, '1.0');
    expect(await admit(service, { app: `${source.host}/other:1.0` }, { namespace: 'looked' })).toEqual({
      app: `${looked.host}/proxy/hub/other:1.0`,
    });
    expect(await admit(service, { app: inCache }, { namespace: 'looked' })).toEqual({ app: inCache });

    // Only images without a cache path are copied.
    await settled(service);
    expect((await mirrors(service)).map(({ target }) => target)).toEqual(['default']);
    expect(cache.accessLog).toEqual([]);
    expect(looked.accessLog.filter(({ method }) => !['HEAD', 'GET'].includes(method))).toEqual([]);
  });

  it('log in with a rotated password file within seconds, for lookups and copies', async () => {
    const passwords = { pusher: 'first-word' };
    const target = await world.registry({ auth: { type: 'basic', users: passwords } });
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-password-'));
    const passwordFile = join(folder, 'password');
    await writeFile(passwordFile, 'first-word\n');
    const service = await world.serve({
      source: { registries: [plainRegistry(source)] },
      target: plainRegistry(target, { credentials: { username: 'pusher', passwordFile } }),
    });
    await admit(service, { app: app(source) });
    await settled(service);
    const swapped = { app: `${target.host}/${pathOf(source, 'app')}:1.0` };
    expect(await admit(service, { app: app(source) })).toEqual(swapped);

    passwords.pusher = 'second-word';
    await writeFile(passwordFile, 'second-word\n');
    let n = 0;
    await until('a copy with the new password', async () => (await copied(service, n++)) !== undefined);
    await rm(folder, { recursive: true });
  });

  /** Uses a new image each time, because an image whose credentials failed is not retried for a minute. */
  async function copied(service: RunningService, n: number): Promise<string | undefined> {
    const name = `n${n}`;
    loadImage(source, name, image, '1.0');
    await admit(service, { app: `${source.host}/${name}:1.0` });
    await settled(service);
    const after = await admit(service, { app: `${source.host}/${name}:1.0` });
    return after['app'] === `${source.host}/${name}:1.0` ? undefined : name;
  }
});
