import { describe, expect, it } from 'vitest';
import { BlobLedger } from '../../../extension-service/src/registry/ledger.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { expectComplete, pair, writes } from './copy-pair.js';

const REPOSITORY = 'mirror/library/app';

/** Puts an image into both registries. */
async function mirrored(options?: Parameters<typeof buildImage>[0], registries?: Parameters<typeof pair>[0]) {
  const both = await pair(registries);
  const image = buildImage(options);
  loadImage(both.source, 'library/app', image, 'v1');
  loadImage(both.target, REPOSITORY, image, 'v1');
  return { ...both, image };
}

describe('an image that the target has partly lost', () => {
  it.each([
    ['a child', (target, image) => target.deleteManifest(REPOSITORY, image.manifests[0]?.digest ?? '')],
    [
      'every child',
      (target, image) => image.manifests.slice(0, -1).map(({ digest }) => target.deleteManifest(REPOSITORY, digest)),
    ],
    ['a layer', (target, image) => target.deleteBlob(REPOSITORY, image.blobs[1]?.digest ?? '')],
    ['every blob', (target, image) => image.blobs.map(({ digest }) => target.deleteBlob(REPOSITORY, digest))],
  ] as const satisfies readonly (readonly [
    string,
    (target: Awaited<ReturnType<typeof pair>>['target'], image: ReturnType<typeof buildImage>) => unknown,
  ])[])('gets back %s when a copy or a check walks its tree', async (_, lose) => {
    for (const run of ['copy', 'check'] as const) {
      for (const options of [{}, { nested: true }]) {
        const { target, image, copy, check } = await mirrored(options);
        lose(target, image);
        expect((await copy()).outcome).toBe('present');
        const result = await (run === 'copy' ? copy({ presence: 'tree' }) : check(image.digest, { presence: 'tree' }));
        expect(result.outcome).toBe('repaired');
        expect(result.repaired.length).toBeGreaterThan(0);
        expectComplete(target, REPOSITORY, image);
        expect(await copy({ presence: 'tree' })).toMatchObject({ outcome: 'present', repaired: [] });
      }
    }
  });

  it('causes no request to the source and no write to the target when it is complete', async () => {
    const { source, target, image, check } = await mirrored({ nested: true, attestations: true });
    expect(await check(image.digest, { presence: 'tree' })).toMatchObject({ outcome: 'present', repaired: [] });
    expect(source.requests()).toEqual([]);
    expect(writes(target)).toEqual([]);
  });

  it('does not call a new image repaired, and asks for its manifests by HEAD', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ attestations: true, nested: true });
    loadImage(source, 'library/app', image, 'v1');
    // From now on, the copier trusts a 404 to a HEAD from the target.
    loadImage(target, 'mirror/other', buildImage({ seed: 2 }), 'v1');
    loadImage(source, 'library/other', buildImage({ seed: 2 }), 'v1');
    await copy({ from: { repository: 'library/other' }, to: { repository: 'mirror/other' } });
    expect(await copy({ presence: 'tree' })).toMatchObject({ outcome: 'copied', repaired: [] });
    expectComplete(target, REPOSITORY, image);
    expect(target.requests(({ method, path }) => method === 'GET' && path.includes('/manifests/'))).toEqual([]);
  });

  it('sends layers that the registry reports but cannot return, when it reads them', async () => {
    const { target, image, copy } = await mirrored();
    const [lost] = image.blobs;
    target.fault({ method: 'GET', path: lost?.digest ?? '', times: 1, action: { type: 'truncate', after: 0 } });
    expect((await copy({ presence: 'tree' })).outcome).toBe('present');
    const result = await copy({ presence: 'bytes' });
    expect(result).toMatchObject({ outcome: 'repaired', blobs: { uploaded: { count: 1, bytes: lost?.size } } });
    expect(target.requests(({ method, query }) => method === 'POST' && query.includes('mount'))).toEqual([]);
  });

  it.each([
    ['404', { type: 'status', status: 404 }],
    ['500', { type: 'status', status: 500 }],
    ['an end before the first byte', { type: 'truncate', after: 0 }],
    ['a reset before the first byte', { type: 'reset', after: 0 }],
  ] as const)('does not trust reported blobs of a missing manifest when GET answers %s', async (_, action) => {
    const { target, image, copy } = await mirrored({ platforms: ['linux/amd64'] });
    const lost = new RegExp(`/blobs/(${image.blobs.map(({ digest }) => digest).join('|')})`);
    for (const { digest } of image.manifests) target.deleteManifest(REPOSITORY, digest);
    target.fault({ method: 'GET', path: lost, action });
    const result = await copy();
    expect(result).toMatchObject({ outcome: 'copied', blobs: { uploaded: { count: image.blobs.length } } });
    expect(target.requests(({ method, path }) => method === 'HEAD' && path.includes('/blobs/'))).toHaveLength(
      image.blobs.length,
    );
  });

  it('trusts reported blobs of a missing manifest when they can be read', async () => {
    const { target, image, copy } = await mirrored();
    for (const { digest } of image.manifests) target.deleteManifest(REPOSITORY, digest);
    const result = await copy();
    expect(result.blobs).toMatchObject({ uploaded: { count: 0 }, present: { count: image.blobs.length } });
    const reads = target.accessLog.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'));
    expect(reads.map(({ status, headers }) => [status, headers.range])).toEqual(
      image.blobs.map(() => [206, 'bytes=0-0']),
    );
  });

  it('names permanently lost content when the source does not have it either', async () => {
    const { source, target, image, check } = await mirrored({ platforms: ['linux/amd64', 'linux/arm64'] });
    const arm64 = image.platforms.get('linux/arm64') ?? '';
    for (const registry of [source, target]) {
      registry.deleteManifest(registry === source ? 'library/app' : REPOSITORY, arm64);
    }
    await expect(check(image.digest, { presence: 'tree' })).rejects.toThrow(/incomplete: linux\/arm64 \(sha256:/);
  });
});

describe('a target that ignores the case of tags', () => {
  it('keeps the image of the lower-case tag, and does not write the tag with capitals, with the reason', async () => {
    const { source, target, copy } = await pair({ target: { foldTags: true } });
    const [lower, upper] = [buildImage(), buildImage({ seed: 2 })];
    loadImage(source, 'library/app', lower, 'v1');
    loadImage(source, 'library/app', upper, 'V1');
    const ledger = new BlobLedger();
    await copy({ ledger });
    const capital = { ledger, from: { tag: 'V1' }, to: { published: 'V1' } };
    await expect(copy(capital)).rejects.toMatchObject({
      kind: 'refused',
      retryable: false,
      message: expect.stringMatching(/V1 is not copied: this registry ignores the case of tags/) as string,
    });
    expect(target.manifest(REPOSITORY, 'v1')?.digest).toBe(lower.digest);
    const asked = target.accessLog.length;
    await expect(copy(capital)).rejects.toMatchObject({ kind: 'refused' });
    expect(target.accessLog).toHaveLength(asked);
  });

  it('is distinguished from a case-sensitive target, even if both spellings are the same image', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    for (const tag of ['v1', 'V1', 'V2']) loadImage(source, 'library/app', image, tag);
    const ledger = new BlobLedger();
    for (const tag of ['v1', 'V1', 'V2']) await copy({ ledger, from: { tag }, to: { published: tag } });
    expect(target.tags(REPOSITORY).filter((tag) => !tag.startsWith('keep-'))).toEqual(['V1', 'V2', 'v1']);
  });
});
