import { describe, expect, it } from 'vitest';
import { BlobLedger } from '../../../extension-service/src/registry/ledger.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { expectComplete, pair } from './copy-pair.js';

/** The copier does not send requests whose response it knows. The tests count requests in the registries' logs. */

const REPOSITORY = 'mirror/library/app';

/** Reads of the repository, without logins and uploads. */
function questions(registry: FakeRegistry, repository = REPOSITORY): string[] {
  return registry.requests(({ method, path }) => (method === 'HEAD' || method === 'GET') && path.includes(repository));
}

describe('a repository that the target does not have', () => {
  it('is queried by its tag and its list of tags only', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'] });
    loadImage(source, 'library/app', image, 'v1');
    expect((await copy()).outcome).toBe('copied');
    expectComplete(target, REPOSITORY, image);
    const asked = questions(target);
    expect(asked.filter((request) => !request.includes('/manifests/'))).toEqual([`GET /v2/${REPOSITORY}/tags/list`]);
    const byDigest = asked.filter((request) => request.includes('/manifests/sha256:'));
    // One HEAD for new content shows that HEAD is reliable at this registry.
    expect(byDigest.length).toBeLessThanOrEqual(1);
    expect(image.manifests.length).toBeGreaterThan(2);
  });

  it('receives a second tag of the same image with one PUT', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    loadImage(source, 'library/app', image, 'stable');
    const ledger = new BlobLedger();
    await copy({ ledger, presence: 'tree' });
    const before = target.requests(() => true).length;
    const stable = { ledger, presence: 'tree' as const, from: { tag: 'stable' }, to: { published: 'stable' } };
    expect((await copy(stable)).outcome).toBe('tagged');
    expect(target.requests(() => true).slice(before)).toEqual([`PUT /v2/${REPOSITORY}/manifests/stable`]);
    expect(target.manifest(REPOSITORY, 'stable')?.digest).toBe(image.digest);
  });

  it('receives each shared blob once from consecutive images', async () => {
    const { source, target, copy } = await pair();
    const images = [1, 2].map((extra) => buildImage({ layersPerPlatform: 2 + extra, sharedLayers: 2 }));
    const ledger = new BlobLedger();
    for (const [index, image] of images.entries()) {
      const tag = `v${index}`;
      loadImage(source, 'library/app', image, tag);
      await copy({ ledger, from: { tag }, to: { published: tag } });
    }
    for (const image of images) expectComplete(target, REPOSITORY, image);
    expect(questions(target).filter((asked) => asked.includes('/blobs/'))).toEqual([]);
    const blobs = new Set(images.flatMap((image) => image.blobs.map(({ digest }) => digest)));
    expect(target.requests(({ method, path }) => method === 'PUT' && path.includes('/blobs/'))).toHaveLength(
      blobs.size,
    );
  });

  it('is checked for large layers, which an interrupted copy may have left', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 4 * 1024 * 1024 });
    loadImage(source, 'library/app', image, 'v1');
    const large = image.blobs.find(({ size }) => size >= 4 * 1024 * 1024);
    if (large === undefined) throw new Error('no large layer');
    await copy();
    expect(questions(target)).toContain(`HEAD /v2/${REPOSITORY}/blobs/${large.digest}`);
    expect(questions(target).filter((asked) => asked.includes('/blobs/'))).toHaveLength(1);
  });

  it('is checked for everything again when the registry lacks sent content', async () => {
    const { source, target, copy } = await pair();
    const [first, second] = [1, 2].map((extra) => buildImage({ layersPerPlatform: 2 + extra, sharedLayers: 2 }));
    if (first === undefined || second === undefined) throw new Error('no images');
    const ledger = new BlobLedger();
    loadImage(source, 'library/app', first, 'v1');
    await copy({ ledger });
    for (const { digest } of first.blobs) target.deleteBlob(REPOSITORY, digest);
    loadImage(source, 'library/app', second, 'v2');
    await copy({ ledger, from: { tag: 'v2' }, to: { published: 'v2' } });
    expectComplete(target, REPOSITORY, second);
    expect(target.manifest(REPOSITORY, 'v2')?.digest).toBe(second.digest);
  });
});

describe('a repository that exists in the target or is unknown', () => {
  const answers: readonly (readonly [string, object | undefined])[] = [
    ['has tags', undefined],
    ['is hidden behind 403', { type: 'status', status: 403 }],
    ['has no list of tags', { type: 'status', status: 404, body: '404 page not found\n' }],
    ['is unknown by another code', { type: 'status', status: 404, body: '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}' }],
    ['has a list that fails', { type: 'status', status: 500 }],
  ];
  it.each(answers)('is checked for its blobs when it %s', async (_, action) => {
    const { source, target, copy } = await pair();
    const [there, image] = [
      buildImage({ layersPerPlatform: 3, sharedLayers: 2 }),
      buildImage({ layersPerPlatform: 4, sharedLayers: 2 }),
    ];
    loadImage(target, REPOSITORY, there, 'v0');
    loadImage(source, 'library/app', image, 'v1');
    if (action !== undefined) target.fault({ path: '/tags/list', action: action as never });
    const { blobs } = await copy();
    expect(blobs.present.count).toBeGreaterThan(0);
    expectComplete(target, REPOSITORY, image);
  });

  it('is queried once for its list of tags', async () => {
    const { source, target, copy } = await pair();
    loadImage(target, REPOSITORY, buildImage({ seed: 9 }), 'v0');
    const ledger = new BlobLedger();
    for (const tag of ['v1', 'v2', 'v3']) {
      loadImage(source, 'library/app', buildImage({ seed: Number(tag.slice(1)) }), tag);
      await copy({ ledger, from: { tag }, to: { published: tag } });
    }
    expect(questions(target).filter((asked) => asked.endsWith('/tags/list'))).toHaveLength(1);
  });
});

describe('one run that checks all of its images', () => {
  it('checks shared content once per repository, and nothing for a second tag of an image', async () => {
    const { source, target, copy } = await pair();
    const [first, second] = [1, 2].map((extra) => buildImage({ layersPerPlatform: 2 + extra, sharedLayers: 2 }));
    if (first === undefined || second === undefined) throw new Error('no images');
    for (const [tag, image] of Object.entries({ v1: first, stable: first, v2: second })) {
      loadImage(source, 'library/app', image, tag);
      loadImage(target, REPOSITORY, image, tag);
    }
    const ledger = new BlobLedger(Date.now, { isOneRun: true });
    const asked: Record<string, string[]> = {};
    for (const tag of ['v1', 'stable', 'v2']) {
      const before = questions(target).length;
      const { outcome } = await copy({ ledger, presence: 'tree', from: { tag }, to: { published: tag } });
      expect([tag, outcome]).toEqual([tag, 'present']);
      asked[tag] = questions(target).slice(before);
    }
    expect(asked['stable']).toEqual([`HEAD /v2/${REPOSITORY}/manifests/stable`]);
    const shared = first.blobs.filter(({ digest }) => second.blobs.some((blob) => blob.digest === digest));
    expect(shared.length).toBeGreaterThan(1);
    for (const { digest } of shared) {
      const question = `HEAD /v2/${REPOSITORY}/blobs/${digest}`;
      expect([asked['v1']?.includes(question), asked['v2']?.includes(question)]).toEqual([true, false]);
    }
    // A separate run checks again.
    target.deleteBlob(REPOSITORY, shared[0]?.digest ?? '');
    const later = { ledger: new BlobLedger(Date.now, { isOneRun: true }), presence: 'tree' as const };
    expect((await copy(later)).outcome).toBe('repaired');
    expectComplete(target, REPOSITORY, first);
  });
});

describe('a run that remembers an earlier one', () => {
  it('sends one request per tag to each registry, and reads one list of referrers', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'] });
    loadImage(source, 'library/app', image, 'v1');
    const interval = 86_400_000;
    const first = new BlobLedger(Date.now, { isOneRun: true, earlier: { images: [], interval } });
    const options = { presence: 'due', referrers: true } as const;
    expect((await copy({ ...options, ledger: first })).outcome).toBe('copied');
    const before = [source, target].map((registry) => registry.accessLog.length);
    const earlier = { images: first.completeImages(), interval };
    const second = new BlobLedger(Date.now, { isOneRun: true, earlier });
    expect((await copy({ ...options, ledger: second })).outcome).toBe('present');
    const asked = [source, target].map((registry, n) => registry.requests(() => true).slice(before[n]));
    expect(asked).toEqual([
      ['HEAD /v2/library/app/manifests/v1', `GET /v2/library/app/referrers/${image.digest}`],
      [`HEAD /v2/${REPOSITORY}/manifests/v1`],
    ]);
  });
});

describe('a source without the referrers API', () => {
  it('is queried once when it has no such route', async () => {
    const { source, copy } = await pair({ source: { referrers: false } });
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64', 'linux/s390x'] });
    loadImage(source, 'library/app', image, 'v1');
    const ledger = new BlobLedger();
    await copy({ ledger, referrers: true });
    const before = source.requests(({ path }) => path.includes('/referrers/')).length;
    loadImage(source, 'library/app', buildImage({ seed: 2 }), 'v2');
    await copy({ ledger, referrers: true, from: { tag: 'v2' }, to: { published: 'v2' } });
    expect(source.requests(({ path }) => path.includes('/referrers/'))).toHaveLength(before);
    // The fallback tags of the source are still read.
    expect(source.requests(({ path }) => /\/manifests\/sha256-[0-9a-f]{64}$/.test(path)).length).toBeGreaterThan(4);
  });
});
