import { describe, expect, it } from 'vitest';
import { BlobLedger } from '../../../extension-service/src/registry/ledger.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { sha512 } from '../../fakes/registry-content.js';
import { pair, writes } from './copy-pair.js';

describe('copyImage of what the target has, in part or whole', () => {
  it('sends and pulls nothing when the tag already exists', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    loadImage(target, 'mirror/library/app', image, 'v1');
    const result = await copy();
    expect(result).toMatchObject({ outcome: 'present', digest: image.digest });
    expect(writes(target)).toEqual([]);
    expect(source.requests(({ path }) => path.includes('library'))).toEqual(['HEAD /v2/library/app/manifests/v1']);
  });

  it('only writes the tag when the digest already exists', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    loadImage(target, 'mirror/library/app', image);
    const result = await copy();
    expect(result.outcome).toBe('tagged');
    expect(target.manifest('mirror/library/app', 'v1')?.digest).toBe(image.digest);
    expect(source.requests(({ method, path }) => method === 'GET' && path !== '/v2/')).toEqual([]);
  });

  it('moves a tag that has moved at the source and sends only new content', async () => {
    const { source, target, copy } = await pair();
    const [before, after] = [
      buildImage({ layersPerPlatform: 3, sharedLayers: 2 }),
      buildImage({ layersPerPlatform: 4, sharedLayers: 2 }),
    ];
    loadImage(source, 'library/app', before, 'v1');
    await copy();
    loadImage(source, 'library/app', after, 'v1');
    const result = await copy();
    expect(result.digest).toBe(after.digest);
    expect(target.manifest('mirror/library/app', 'v1')?.digest).toBe(after.digest);
    expect(result.blobs.present.count).toBeGreaterThan(0);
    expect(result.blobs.uploaded.count).toBeLessThan(after.blobs.length);
  });

  it('stores an image under its sha512 digest as well, and recognizes it the next time', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image);
    const top = image.manifests.at(-1);
    if (top === undefined) throw new Error('no index');
    const digest = sha512(top.bytes);
    source.putManifest('library/app', digest, top.mediaType, top.bytes);
    const name = { from: { digest }, to: { digest, published: 'keep-0123456789ab' } };
    expect((await copy(name)).outcome).toBe('copied');
    expect(target.manifest('mirror/library/app', digest)?.bytes).toEqual(top.bytes);
    expect(target.manifest('mirror/library/app', 'keep-0123456789ab')?.digest).toBe(image.digest);
    const before = writes(target).length;
    expect((await copy(name)).outcome).toBe('present');
    expect(writes(target)).toHaveLength(before);
  });

  it.each([
    ['rejects the manifest until every blob is sent', 2, 2],
    ['rejects the manifest whatever is sent', Infinity, 2],
  ])('sends the blobs that a target returns if it %s', async (_, needed, sent) => {
    const { source, target, copy } = await pair();
    const one = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 5_000 });
    loadImage(source, 'library/app', one, 'v1');
    for (const blob of one.blobs) target.putBlob('mirror/library/app', blob);
    const uploads = (): number =>
      target.accessLog.filter(({ path, bytesIn }) => path.includes('/blobs/uploads/') && bytesIn > 0).length;
    const body = '{"errors":[{"code":"MANIFEST_INVALID","message":"Failed to copy blob"}]}';
    target.fault({
      method: 'PUT',
      path: '/manifests/',
      action: () => (uploads() < needed ? { type: 'status', status: 400, body } : { type: 'delay', milliseconds: 0 }),
    });
    const copied = await copy().then(
      () => true,
      () => false,
    );
    expect(copied).toBe(needed === 2);
    expect(uploads()).toBe(sent);
    expect(target.manifest('mirror/library/app', 'v1')?.digest).toBe(copied ? one.digest : undefined);
  });

  it('puts the manifests again when forced', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    loadImage(target, 'mirror/library/app', image, 'v1');
    const result = await copy({ force: true });
    expect(result).toMatchObject({ outcome: 'copied', manifestsPushed: 3 });
    expect(result.blobs.uploaded.count).toBe(0);
  });

  it('mounts within a registry, and uploads when the registry answers 202 to the mount', async () => {
    for (const mounts of [true, false]) {
      const { source, copy } = await pair({ same: true, source: { mounts } });
      const image = buildImage();
      loadImage(source, 'library/app', image, 'v1');
      const result = await copy();
      expect(result.blobs[mounts ? 'mounted' : 'uploaded'].count).toBe(image.blobs.length);
      expect(source.requests(({ query }) => query.includes('from=library%2Fapp'))).toHaveLength(image.blobs.length);
      // The 202 to the mount opens the upload session that is used, so there is no second POST.
      expect(source.requests(({ method }) => method === 'POST')).toHaveLength(image.blobs.length);
      expect(source.requests(({ method, path }) => method === 'PUT' && path.includes('/uploads/'))).toHaveLength(
        mounts ? 0 : image.blobs.length,
      );
    }
  });

  it('mounts from a repository of the target that an earlier copy filled', async () => {
    const { source, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    const ledger = new BlobLedger();
    await copy({ ledger });
    const result = await copy({ ledger, to: { repository: 'other/app' } });
    expect(result.blobs.mounted.count).toBe(image.blobs.length);
  });

  it('sends a blob once for several parallel copies', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ layerSize: 200_000 });
    loadImage(source, 'library/app', image, 'v1');
    const ledger = new BlobLedger();
    await Promise.all(Array.from({ length: 6 }, (_, i) => copy({ ledger, to: { published: `t${i}` } })));
    expect(target.requests(({ method, path }) => method === 'POST' && path.includes('/uploads/'))).toHaveLength(
      image.blobs.length,
    );
    expect(target.tags('mirror/library/app')).toHaveLength(6);
  });

  it('reads and sends an image once for several names that are requested at once', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ layerSize: 200_000 });
    for (const tag of ['v1', 'v1.27', 'stable']) loadImage(source, 'library/app', image, tag);
    const ledger = new BlobLedger();
    const names = [
      ...['v1', 'v1.27', 'stable'].map((tag) => ({ from: { tag }, to: { published: tag } })),
      { from: { digest: image.digest }, to: { digest: image.digest, published: 'keep-1' } },
    ];
    const results = await Promise.all(names.map((name) => copy({ ledger, ...name })));
    expect(results.map(({ outcome }) => outcome).sort()).toEqual(['copied', 'tagged', 'tagged', 'tagged']);
    expect(source.requests(({ method, path }) => method === 'GET' && path.includes('/manifests/'))).toHaveLength(
      image.manifests.length,
    );
    expect(source.requests(({ method, path }) => method === 'GET' && path.includes('/blobs/'))).toHaveLength(
      image.blobs.length,
    );
    const puts = target.requests(({ method, path }) => method === 'PUT' && path.includes('/manifests/'));
    expect(puts).toHaveLength(image.manifests.length + names.length - 1);
    for (const tag of ['v1', 'v1.27', 'stable', 'keep-1']) {
      expect(target.manifest('mirror/library/app', tag)?.digest).toBe(image.digest);
    }
  });

  it('copies the image under the other requested names when the first one fails', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    for (const tag of ['v1', 'v2']) loadImage(source, 'library/app', image, tag);
    target.fault({ method: 'PUT', path: '/manifests/v1', action: { type: 'status', status: 403 } });
    const ledger = new BlobLedger();
    const copies = ['v1', 'v2'].map((tag) => copy({ ledger, from: { tag }, to: { published: tag } }));
    const [first, second] = await Promise.allSettled(copies);
    expect([first?.status, second?.status]).toEqual(['rejected', 'fulfilled']);
    expect(target.tags('mirror/library/app')).toEqual(['v2']);
  });
});
