import { describe, expect, it } from 'vitest';
import { BlobLedger } from '../../../extension-service/src/registry/ledger.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { until } from '../../fakes/until.js';
import { expectComplete, pair, type Pair } from './copy-pair.js';

/** Copies that run at once, into different repositories, of images that share layers. */

const SHARED = 3;
const IMAGES = Array.from({ length: 5 }, (_, n) =>
  buildImage({ platforms: ['linux/amd64'], layersPerPlatform: SHARED + n, sharedLayers: SHARED, layerSize: 200_000 }),
);
const isUpload = { method: 'PUT', path: '/blobs/uploads/' } as const;
const [first, second] = IMAGES;
if (first === undefined || second === undefined) throw new Error('no images');
const inBoth = first.blobs.filter(({ digest }) => second.blobs.some((blob) => blob.digest === digest));

function load(source: FakeRegistry): void {
  IMAGES.forEach((image, n) => loadImage(source, `app-${n}`, image, 'v1'));
}

function copyOf({ copy }: Pair, ledger: BlobLedger, n: number, signal?: AbortSignal): ReturnType<Pair['copy']> {
  const names = { from: { repository: `app-${n}` }, to: { repository: `mirror/app-${n}` } };
  return copy({ ledger, ...names, ...(signal && { signal }) });
}

/** How often the bytes of each blob were sent, by digest. */
function sent(target: FakeRegistry): ReadonlyMap<string, number> {
  const count = new Map<string, number>();
  for (const { method, path, query } of target.accessLog) {
    if (method !== 'PUT' || !path.includes('/uploads/')) continue;
    const digest = new URLSearchParams(query).get('digest') ?? '';
    count.set(digest, (count.get(digest) ?? 0) + 1);
  }
  return count;
}

const mounts = (target: FakeRegistry): number =>
  target.accessLog.filter(({ query }) => query.includes('mount=')).length;

describe('a blob of several images that are copied at once', () => {
  it('is sent once, and mounted in the other repositories', async () => {
    const world = await pair({ anonymous: true });
    load(world.source);
    world.target.fault({ ...isUpload, action: { type: 'delay', milliseconds: 30 } });
    const ledger = new BlobLedger();
    await Promise.all(IMAGES.map((_, n) => copyOf(world, ledger, n)));
    IMAGES.forEach((image, n) => expectComplete(world.target, `mirror/app-${n}`, image));
    const digests = new Set(IMAGES.flatMap(({ blobs }) => blobs.map(({ digest }) => digest)));
    expect([...sent(world.target).values()]).toEqual([...digests].map(() => 1));
  });

  it('is sent by each copy that may not mount it, without waiting', async () => {
    const auth = { type: 'basic', users: { user: 'secret' } } as const;
    const world = await pair({ source: { auth } });
    load(world.source);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    // The uploads of the first copy do not end before the second copy has.
    world.target.fault({ method: 'PUT', path: /app-0\/blobs\/uploads/, action: { type: 'wait', until: held } });
    const ledger = new BlobLedger();
    const earlier = copyOf(world, ledger, 0);
    await copyOf(world, ledger, 1);
    release();
    await earlier;
    expectComplete(world.target, 'mirror/app-0', first);
    expectComplete(world.target, 'mirror/app-1', second);
    expect(mounts(world.target)).toBe(0);
    for (const { digest } of inBoth) expect(sent(world.target).get(digest)).toBe(2);
  });

  it('is sent by another copy when the first one fails', async () => {
    const world = await pair({ anonymous: true });
    load(world.source);
    world.source.fault({ path: /app-0\/blobs/, action: { type: 'wrong-bytes' } });
    world.target.fault({ ...isUpload, action: { type: 'delay', milliseconds: 30 } });
    const ledger = new BlobLedger();
    const results = await Promise.allSettled(IMAGES.map((_, n) => copyOf(world, ledger, n)));
    expect(results.map(({ status }) => status)).toEqual(['rejected', ...IMAGES.slice(1).map(() => 'fulfilled')]);
    IMAGES.slice(1).forEach((image, n) => expectComplete(world.target, `mirror/app-${n + 1}`, image));
    expect(world.target.tags('mirror/app-0')).toEqual([]);
  });

  it('is sent by each copy to a target that rejects mounts', async () => {
    const world = await pair({ anonymous: true, target: { mounts: false } });
    load(world.source);
    const ledger = new BlobLedger();
    await Promise.all(IMAGES.map((_, n) => copyOf(world, ledger, n)));
    IMAGES.forEach((image, n) => expectComplete(world.target, `mirror/app-${n}`, image));
  });

  it('does not keep a waiting copy that is aborted', async () => {
    const world = await pair({ anonymous: true });
    load(world.source);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    world.target.fault({ ...isUpload, action: { type: 'wait', until: held } });
    const ledger = new BlobLedger();
    const earlier = copyOf(world, ledger, 0);
    await until('the first copy sends', () => sent(world.target).size > 0);
    const aborter = new AbortController();
    const later = copyOf(world, ledger, 1, aborter.signal);
    aborter.abort(new Error('no longer wanted'));
    await expect(later).rejects.toThrow('no longer wanted');
    release();
    await earlier;
    expectComplete(world.target, 'mirror/app-0', first);
  });
});
