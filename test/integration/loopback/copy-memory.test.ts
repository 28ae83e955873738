import { afterEach, describe, expect, it } from 'vitest';
import { copyImage } from '../../../extension-service/src/registry/copy.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';

const MIB = 1024 * 1024;
const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function prepare(layerSize: number, layers: number) {
  const [source, target] = [await FakeRegistry.start(), await FakeRegistry.start({ keepBlobs: false })];
  const image = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: layers, layerSize });
  loadImage(source, 'big', image, 'v1');
  const endpoints = [source, target].map(({ host }) => ({ host, insecure: true }));
  const factory = new RegistryFactory({ endpoints, hosts: { allow: [], deny: [] }, env: {} });
  cleanups.push(
    () => factory.close(),
    () => source.close(),
    () => target.close(),
  );
  const anonymous = { resolve: async () => [] };
  const options = {
    source: { client: factory.client(source.host, anonymous), reference: { repository: 'big', tag: 'v1' } },
    target: { client: factory.client(target.host, anonymous), reference: { repository: 'big', published: 'v1' } },
  };
  return { target, image, options };
}

describe('memory', { timeout: 120_000 }, () => {
  it('stays flat while 500 MB pass through', async () => {
    const { image, options } = await prepare(125 * MIB, 4);
    const before = process.memoryUsage().rss;
    let peak = before;
    const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20);
    const result = await copyImage(options).finally(() => clearInterval(timer));
    expect(result.blobs.uploaded.bytes).toBe(image.blobBytes);
    // Both registries also run in this process. They keep no content, but each adds buffers that wait for garbage
    // collection, whose number depends on the Node version. If the image were kept, it would add 500.
    expect((peak - before) / MIB).toBeLessThan(200);
  });

  it('does not grow while a slow target delays the bytes', async () => {
    const { target, image, options } = await prepare(48 * MIB, 1);
    target.fault({ method: 'PUT', path: '/uploads/', action: { type: 'slow', bytesPerSecond: 64 * MIB } });
    let worst = 0;
    await copyImage({
      ...options,
      onProgress: ({ kind, state, transferred, descriptor }) => {
        if (kind !== 'blob' || state !== 'running' || descriptor.size < MIB) return;
        const taken = target.accessLog.reduce((most, { bytesIn }) => Math.max(most, bytesIn), 0);
        worst = Math.max(worst, transferred - taken);
      },
    });
    expect(image.blobBytes).toBeGreaterThan(48 * MIB);
    // Between the two are only the kernel's socket buffers and one pipe, regardless of the size of the blob.
    expect(worst / MIB).toBeLessThan(20);
  });
});
