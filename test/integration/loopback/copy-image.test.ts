import { describe, expect, it } from 'vitest';
import { type CopyProgress } from '../../../extension-service/src/registry/copy.js';
import { buildImage, buildReferrer, loadImage } from '../../fakes/images.js';
import { bytesContent, sha256 } from '../../fakes/registry-content.js';
import { expectComplete, pair, writes } from './copy-pair.js';

describe('copyImage', () => {
  it.each([
    ['two OCI platforms', {}],
    ['Docker schema 2', { docker: true }],
    ['attestations', { attestations: true }],
    ['an index inside an index', { nested: true, attestations: true }],
    [
      'shared layers',
      { platforms: ['linux/amd64', 'linux/arm64', 'linux/arm/v7'], layersPerPlatform: 4, sharedLayers: 2 },
    ],
    ['layers without bytes', { layerSize: 0 }],
  ])('copies %s byte for byte, each blob in two requests', async (_, options) => {
    const { source, target, copy } = await pair();
    const image = buildImage(options);
    loadImage(source, 'library/app', image, 'v1');

    const result = await copy();

    expect(result).toMatchObject({ outcome: 'copied', digest: image.digest, sourceDigest: image.digest, warnings: [] });
    expect(result.platforms).toEqual(Object.fromEntries(image.platforms));
    expectComplete(target, 'mirror/library/app', image);
    expect(target.manifest('mirror/library/app', 'v1')?.digest).toBe(image.digest);
    expect(result.blobs.uploaded).toEqual({ count: image.blobs.length, bytes: image.blobBytes });
    expect(writes(target).filter((line) => line.includes('/uploads/'))).toHaveLength(2 * image.blobs.length);
    expect(result.requests).toEqual({ source: source.accessLog.length, target: target.accessLog.length });
  });

  it('puts children before their index and the tag last', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ nested: true });
    loadImage(source, 'library/app', image, 'v1');
    await copy();
    const puts = target.requests(({ method, path }) => method === 'PUT' && path.includes('/manifests/'));
    const order = puts.map((line) => line.split('/manifests/')[1]);
    const [amd64, arm64, inner] = image.manifests.map(({ digest }) => digest);
    expect(new Set(order.slice(0, 2))).toEqual(new Set([amd64, arm64]));
    expect(order.slice(2)).toEqual([inner, 'v1']);
    const lastBlob = target.accessLog.findLastIndex(({ path }) => path.includes('/uploads/'));
    const tag = target.accessLog.findIndex(({ method, path }) => method === 'PUT' && path.endsWith('/manifests/v1'));
    expect(tag).toBeGreaterThan(lastBlob);
  });

  it('copies by digest under the keeper tag, and does not move the tag', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    const name = { from: { digest: image.digest }, to: { digest: image.digest, published: 'keep-0123456789ab' } };
    await copy(name);
    expect(target.tags('mirror/library/app')).toEqual(['keep-0123456789ab']);
    expectComplete(target, 'mirror/library/app', image);
    expect(await copy(name)).toMatchObject({ outcome: 'present', requests: { source: 0 } });
    target.deleteManifest('mirror/library/app', 'keep-0123456789ab');
    expect(await copy(name)).toMatchObject({ outcome: 'tagged', requests: { source: 0 } });
    expect(target.tags('mirror/library/app')).toEqual(['keep-0123456789ab']);
  });

  it('copies only the requested platforms with their attestations, and recognizes them the next time', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64', 'linux/s390x'], attestations: true });
    loadImage(source, 'library/app', image, 'v1');
    const result = await copy({ platforms: ['linux/arm64/v8'] });
    expect(result).toMatchObject({
      sourceDigest: image.digest,
      platforms: { 'linux/arm64': image.platforms.get('linux/arm64') },
    });
    expect(Object.keys(result.platforms)).toEqual(['linux/arm64']);
    const index = JSON.parse(target.manifest('mirror/library/app', 'v1')?.bytes.toString() ?? '') as {
      manifests: unknown[];
    };
    expect(index.manifests).toHaveLength(2);
    expect(target.manifest('mirror/library/app', image.platforms.get('linux/amd64') ?? '')).toBeUndefined();
    expect(await copy({ platforms: ['linux/arm64'] })).toMatchObject({ outcome: 'present', digest: result.digest });
    await expect(copy({ platforms: ['linux/riscv64'] })).rejects.toThrow('none of the platforms linux/riscv64');
  });

  it('does not copy foreign layers', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ platforms: ['windows/amd64'], layersPerPlatform: 1 });
    const [child] = image.manifests;
    const json = JSON.parse(child?.bytes.toString() ?? '') as { layers: object[] };
    const foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
    json.layers.push({
      mediaType: foreign,
      digest: sha256(Buffer.from('gone')),
      size: 4,
      urls: ['https://elsewhere.example/x'],
    });
    const bytes = Buffer.from(JSON.stringify(json));
    for (const blob of image.blobs) source.putBlob('library/app', blob);
    source.putManifest('library/app', 'v1', child?.mediaType ?? '', bytes);
    await copy();
    expect(target.manifest('mirror/library/app', 'v1')?.bytes).toEqual(bytes);
  });

  it('copies artifacts with unknown media types', async () => {
    const { source, target, copy } = await pair();
    const [config, layer] = [bytesContent(Buffer.from('{}')), bytesContent(Buffer.from('chart'))];
    source.putBlob('library/app', config);
    source.putBlob('library/app', layer);
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        config: { mediaType: 'application/vnd.acme+json', digest: config.digest, size: config.size },
        layers: [{ mediaType: 'application/x-anything', digest: layer.digest, size: layer.size }],
      }),
    );
    source.putManifest('library/app', 'v1', mediaType, bytes);
    await copy();
    expect(target.manifest('mirror/library/app', 'v1')?.bytes).toEqual(bytes);
  });

  it.each<[string, object]>([
    ['the empty config', { artifactType: 'application/x-model', config: 'application/vnd.oci.empty.v1+json' }],
    ['a config of its own', { config: 'application/vnd.cncf.model.config.v1+json' }],
    ['no config', { artifactType: 'application/x-model' }],
  ])(
    'copies an artifact with %s as it is, whatever platforms are wanted',
    async (_, { config: type, ...json }: { config?: string }) => {
      const { source, target, copy } = await pair();
      const [config, layer] = [bytesContent(Buffer.from('{}')), bytesContent(Buffer.from('weights'))];
      source.putBlob('library/app', layer);
      if (type !== undefined) source.putBlob('library/app', config);
      const mediaType = 'application/vnd.oci.image.manifest.v1+json';
      const described = { mediaType: type, digest: config.digest, size: config.size };
      const layers = [{ mediaType: 'application/x-weights', digest: layer.digest, size: layer.size }];
      const manifest = {
        schemaVersion: 2,
        mediaType,
        ...json,
        ...(type !== undefined && { config: described }),
        layers,
      };
      const bytes = Buffer.from(JSON.stringify(manifest));
      source.putManifest('library/app', 'v1', mediaType, bytes);
      expect(await copy({ platforms: ['linux/amd64'] })).toMatchObject({ outcome: 'copied' });
      expect(target.manifest('mirror/library/app', 'v1')?.bytes).toEqual(bytes);
      expect(target.blob(layer.digest, 'mirror/library/app')).toBeDefined();
    },
  );

  it.each([
    ['both registries have the referrers API', {}, {}],
    ['the target has none: the fallback tag is written', {}, { referrers: false }],
  ])('copies signatures and SBOMs before the tag when %s', async (_, sourceOptions, targetOptions) => {
    const { source, target, copy } = await pair({ source: sourceOptions, target: targetOptions });
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    const top = image.manifests.at(-1);
    if (top === undefined) throw new Error('no index');
    const sbom = buildReferrer(top, 'application/spdx+json', 'sbom');
    const signature = buildReferrer(top, 'application/vnd.dev.cosign.artifact.sig.v1+json', 'signature');
    for (const blob of [...sbom.blobs, ...signature.blobs]) source.putBlob('library/app', blob);
    source.putManifest('library/app', sbom.manifest.digest, sbom.manifest.mediaType, sbom.manifest.bytes);
    const tag = `${image.digest.replace(':', '-')}.sig`;
    source.putManifest('library/app', tag, signature.manifest.mediaType, signature.manifest.bytes);

    const result = await copy({ referrers: true });

    expect(result.warnings).toEqual([]);
    expect(target.manifest('mirror/library/app', sbom.manifest.digest)?.bytes).toEqual(sbom.manifest.bytes);
    expect(target.manifest('mirror/library/app', tag)?.digest).toBe(signature.manifest.digest);
    expect(target.tags('mirror/library/app').includes(image.digest.replace(':', '-'))).toBe(
      'referrers' in targetOptions,
    );
    const puts = target.requests(({ method, path }) => method === 'PUT' && path.includes('/manifests/'));
    expect(puts.findIndex((line) => line.endsWith('/manifests/v1'))).toBe(puts.length - 1);
  });

  it('copies the image although its signature cannot be copied', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    source.fault({ path: '/referrers/', action: { type: 'status', status: 403 } });
    source.fault({ path: '.sig', action: { type: 'html', status: 200 } });
    const result = await copy({ referrers: true });
    expect(result.outcome).toBe('copied');
    expect(result.warnings.join('\n')).toMatch(/referrers of sha256:/);
    expect(target.manifest('mirror/library/app', 'v1')?.digest).toBe(image.digest);
  });

  it('reports progress up to every blob and manifest', async () => {
    const { source, copy } = await pair();
    const image = buildImage({ layerSize: 3 * 1024 * 1024 });
    loadImage(source, 'library/app', image, 'v1');
    const events: CopyProgress[] = [];
    await copy({ onProgress: (event) => events.push(event) });
    const done = events.filter(({ kind, state }) => kind === 'blob' && state === 'done');
    expect(new Set(done.map(({ descriptor }) => descriptor.digest))).toEqual(
      new Set(image.blobs.map(({ digest }) => digest)),
    );
    expect(
      events.some(({ state, transferred, total }) => state === 'running' && transferred > 0 && transferred < total),
    ).toBe(true);
  });

  it('treats an immutable tag with the same image as success, and with another image as a conflict', async () => {
    const { source, target, copy } = await pair({ target: { immutableTags: true } });
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    await copy();
    expect((await copy({ force: true })).digest).toBe(image.digest);
    loadImage(source, 'library/app', buildImage({ seed: 2 }), 'v1');
    await expect(copy()).rejects.toMatchObject({ kind: 'conflict', retryable: false, host: target.host });
  });

  it('copies between registries with token authentication, requesting pull and push', async () => {
    const users = { user: 'secret' };
    const { source, target, copy } = await pair({
      source: { auth: { type: 'bearer', users } },
      target: { auth: { type: 'bearer', users }, relativeLocations: true },
    });
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    await copy();
    expectComplete(target, 'mirror/library/app', image);
    expect(
      target.accessLog.some(({ query }) => query.includes('scope=repository%3Amirror%2Flibrary%2Fapp%3Apull%2Cpush')),
    ).toBe(true);
    expect(source.accessLog.some(({ query }) => query.includes('push'))).toBe(false);
  });
});
