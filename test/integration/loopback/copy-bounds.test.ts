import { describe, expect, it } from 'vitest';
import { BlobLedger } from '../../../extension-service/src/registry/ledger.js';
import { buildImage, buildReferrer, loadImage, OCI_INDEX, OCI_MANIFEST } from '../../fakes/images.js';
import { patternContent, sha256 } from '../../fakes/registry-content.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { pair } from './copy-pair.js';

/** Puts a tagged manifest with this many copies of one layer. */
function putLayers(registry: FakeRegistry, reference: string | undefined, layers: number, seed = 1) {
  const blob = patternContent(10 + seed, seed);
  registry.putBlob('library/app', blob);
  const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: blob.digest, size: blob.size };
  const config = { ...layer, mediaType: 'application/vnd.oci.image.config.v1+json' };
  const json = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config,
    layers: Array.from({ length: layers }, () => layer),
  };
  const bytes = Buffer.from(JSON.stringify(json));
  registry.putManifest('library/app', reference ?? sha256(bytes), OCI_MANIFEST, bytes);
  return { mediaType: OCI_MANIFEST, digest: sha256(bytes), size: bytes.length };
}

function putIndex(registry: FakeRegistry, manifests: readonly object[]): void {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
  registry.putManifest('library/app', 'v1', OCI_INDEX, bytes);
}

describe('the bounds of one copy', () => {
  it('allow a model with thousands of layers, and stop at 4,096 descriptors of a manifest', async () => {
    const { source, target, copy } = await pair();
    putLayers(source, 'v1', 4_095);
    expect((await copy()).outcome).toBe('copied');
    putLayers(source, 'v1', 4_096);
    await expect(copy()).rejects.toMatchObject({
      kind: 'invalid',
      retryable: false,
      host: source.host,
      message: expect.stringMatching(/4097 descriptors; the maximum is 4096/) as string,
    });
    expect(target.tags('mirror/library/app')).toEqual(['v1']);
  });

  it('stop at 10,000 descriptors of all manifests, with a clear error', async () => {
    const { source, target, copy } = await pair();
    putIndex(
      source,
      [1, 2, 3].map((seed) => putLayers(source, undefined, 4_000, seed)),
    );
    await expect(copy()).rejects.toThrow(/more than 10000 descriptors in total/);
    expect(target.tags('mirror/library/app')).toEqual([]);
  });

  it('cover the image and its referrers together, the image first', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64', 'linux/s390x'] });
    loadImage(source, 'library/app', image, 'v1');
    for (const subject of image.manifests) {
      for (let count = 0; count < 10; count++) {
        const { manifest, blobs } = buildReferrer(subject, 'application/spdx+json', `${subject.digest} ${count}`);
        for (const blob of blobs) source.putBlob('library/app', blob);
        source.putManifest('library/app', manifest.digest, manifest.mediaType, manifest.bytes);
      }
    }
    const result = await copy({ referrers: true, limits: { referrers: 12 } });
    expect(target.manifest('mirror/library/app', 'v1')?.digest).toBe(image.digest);
    expect(result.manifestsPushed).toBe(image.manifests.length + 12);
    expect(result.warnings.join('\n')).toMatch(/referrers of sha256:[a-f0-9]{64} are not copied/);
  });

  it('end downloads of wrong bytes after four attempts', async () => {
    const { source, copy } = await pair();
    const image = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1 });
    loadImage(source, 'library/app', image, 'v1');
    source.fault({ method: 'GET', path: /\/blobs\//, action: { type: 'wrong-bytes' } });
    await expect(copy()).rejects.toMatchObject({ kind: 'invalid', retryable: false });
    const counts = new Map<string, number>();
    for (const line of source.requests(({ method, path }) => method === 'GET' && path.includes('/blobs/'))) {
      counts.set(line, (counts.get(line) ?? 0) + 1);
    }
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(4);
  });
});

describe('a layer that was copied from another source', () => {
  const mounts = (registry: FakeRegistry): string[] =>
    registry.accessLog.filter(({ query }) => query.includes('mount=')).map(({ query }) => query);

  /**
   * Copies an attacker's manifest. Its digests are those of another tenant's blobs, and the attacker's registry does
   * not have their bytes.
   */
  async function steal(anonymous: boolean) {
    const auth = { type: 'basic', users: { user: 'secret' } } as const;
    const world = await pair({ anonymous, ...(!anonymous && { source: { auth } }) });
    const image = buildImage({ platforms: ['linux/amd64'] });
    loadImage(world.source, 'tenant/private', image, 'v1');
    const ledger = new BlobLedger();
    await world.copy({ ledger, from: { repository: 'tenant/private' }, to: { repository: 'mirror/tenant/private' } });
    for (const { digest, mediaType, bytes } of image.manifests) {
      world.source.putManifest('attacker/app', digest, mediaType, bytes);
      world.source.putManifest('attacker/app', 'v1', mediaType, bytes);
    }
    const theft = world.copy({
      ledger,
      from: { repository: 'attacker/app' },
      to: { repository: 'mirror/attacker/app' },
    });
    return { ...world, image, theft };
  }

  it('is not mounted when it was read with credentials, until the other source shows that it has the layer', async () => {
    const { source, target, theft } = await steal(false);
    await expect(theft).rejects.toMatchObject({ kind: 'absent', host: source.host });
    expect(mounts(target)).toEqual([]);
    expect(target.tags('mirror/attacker/app')).toEqual([]);
  });

  it('is mounted when it was read anonymously', async () => {
    const { target, theft, image } = await steal(true);
    expect((await theft).blobs.mounted.count).toBe(image.blobs.length);
    expect(mounts(target)).toHaveLength(image.blobs.length);
  });
});
