import { expect, it } from 'vitest';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { copyImage } from '../../../extension-service/src/registry/copy.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';

/** Sizes of a layer with one piece and of a layer with many. */
it.each([1_000, 600_000])(
  'releases the connections of %i-byte layers, so that more blobs than sockets are copied',
  async (layerSize) => {
    const source = await FakeRegistry.start();
    const target = await FakeRegistry.start();
    const factory = new RegistryFactory({
      endpoints: [source, target].map(({ host }) => ({ host, insecure: true })),
      hosts: { allow: [], deny: [] },
      env: {},
      timeouts: { connect: 3_000 },
      retry: { attempts: 1 },
      maxSockets: 2,
    });
    try {
      const keychain = { resolve: () => Promise.resolve([]) };
      const clients = { source: factory.client(source.host, keychain), target: factory.client(target.host, keychain) };
      for (let n = 0; n < 4; n += 1) {
        const image = buildImage({ layerSize, seed: n + 1 });
        loadImage(source, `app-${n}`, image, 'v1');
        const { blobs } = await copyImage({
          source: { client: clients.source, reference: { repository: `app-${n}`, tag: 'v1' } },
          target: { client: clients.target, reference: { repository: `mirror/app-${n}`, published: 'v1' } },
          limits: { parallelBlobs: 2 },
        });
        expect(blobs.uploaded.count).toBe(image.blobs.length);
      }
    } finally {
      factory.close();
      await Promise.all([source.close(), target.close()]);
    }
  },
);

it('keeps the connections of a burst of requests for the next one', async () => {
  const maxSockets = 20;
  const registry = await FakeRegistry.start();
  const factory = new RegistryFactory({
    endpoints: [{ host: registry.host, insecure: true }],
    hosts: { allow: [], deny: [] },
    env: {},
    maxSockets,
  });
  try {
    const client = factory.client(registry.host, { resolve: () => Promise.resolve([]) });
    for (let burst = 0; burst < 5; burst += 1) {
      await Promise.all(
        Array.from({ length: maxSockets }, () => client.headBlob('app', { digest: `sha256:${'a'.repeat(64)}` })),
      );
    }
    const connections = new Set(registry.accessLog.map(({ connection }) => connection));
    expect(registry.accessLog).toHaveLength(5 * maxSockets);
    expect(connections.size).toBeLessThanOrEqual(maxSockets);
  } finally {
    factory.close();
    await registry.close();
  }
});
