import { afterEach, beforeEach, expect, it } from 'vitest';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { limitPulls } from '../../fakes/pull-budget.js';
import { FakeRegistry } from '../../fakes/registry.js';

/** Images that each replica reads at once. */
const IMAGES = 4;

let registry: FakeRegistry;
beforeEach(async () => {
  registry = await FakeRegistry.start();
  for (let seed = 0; seed < IMAGES; seed += 1) {
    loadImage(registry, `app-${seed}`, buildImage({ platforms: ['linux/amd64'], seed }), '1');
  }
});
afterEach(() => registry.close());

/**
 * Reads all images through this many replicas at once, each after one HEAD, as copies do. Each replica believes that
 * `believed` replicas copy. @returns the number of images that could be read
 */
async function read(replicas: number, believed: () => number): Promise<number> {
  const factories = Array.from(
    { length: replicas },
    () =>
      new RegistryFactory({
        endpoints: [{ host: registry.host, insecure: true }],
        hosts: { allow: [], deny: [] },
        env: {},
        retry: { attempts: 1 },
        replicas: believed,
      }),
  );
  try {
    const results = await Promise.allSettled(
      factories.flatMap((factory) => {
        const client = factory.client(registry.host, { resolve: () => Promise.resolve([]) });
        return Array.from({ length: IMAGES }, async (_, n) => {
          await client.headManifest(`app-${n}`, '1');
          return client.getManifest(`app-${n}`, '1');
        });
      }),
    );
    return results.filter(({ status }) => status === 'fulfilled').length;
  } finally {
    for (const factory of factories) factory.close();
  }
}

it('replicas that divide the pulls of a registry never exceed the remaining number', async () => {
  const refused = limitPulls(registry, 6);
  expect(await read(3, () => 3)).toBe(3 * IMAGES);
  expect(refused()).toBe(0);
});

it('replicas that do not know each other exceed the number, which shows that the division is needed', async () => {
  const refused = limitPulls(registry, 6, true);
  expect(await read(3, () => 1)).toBeLessThan(3 * IMAGES);
  expect(refused()).toBeGreaterThan(0);
});

it('a single copier reads as many manifests in parallel as pulls remain', async () => {
  const refused = limitPulls(registry, 2);
  expect(await read(1, () => 1)).toBe(IMAGES);
  expect(refused()).toBe(0);
});

it('one manifest at a time is read without remaining pulls, because the registry decides', async () => {
  limitPulls(registry, 0);
  expect(await read(1, () => 1)).toBe(0);
  expect(registry.accessLog.filter(({ method }) => method === 'GET')).toHaveLength(IMAGES);
});
