import { describe, expect, it } from 'vitest';
import { BlobLedger } from '../../../extension-service/src/registry/ledger.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { expectComplete, pair } from './copy-pair.js';

const TARGET = 'mirror/library/app';
const auth = { type: 'bearer', users: { user: 'secret' } } as const;
const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'] });

/** The scopes of each token that was requested. */
function tokens(registry: FakeRegistry): readonly (readonly string[])[] {
  return registry.accessLog
    .filter(({ path }) => path === '/token')
    .map(({ query }) => new URLSearchParams(query).getAll('scope'));
}

describe('the tokens of a copy', () => {
  it('are one at the source and one at the target, also for the second tag', async () => {
    const { source, target, copy } = await pair({ source: { auth }, target: { auth } });
    for (const tag of ['v1', 'stable']) loadImage(source, 'library/app', image, tag);
    const ledger = new BlobLedger();
    await copy({ ledger, referrers: true });
    await copy({ ledger, referrers: true, from: { tag: 'stable' }, to: { published: 'stable' } });
    expectComplete(target, TARGET, image);
    expect(tokens(source)).toEqual([['repository:library/app:pull']]);
    expect(tokens(target)).toEqual([[`repository:${TARGET}:pull,push`]]);
  });

  it('include the repository that a blob is mounted from', async () => {
    const { source: registry, copy } = await pair({ same: true, source: { auth } });
    loadImage(registry, 'library/app', image, 'v1');
    const { blobs } = await copy();
    expect(blobs.mounted.count).toBe(image.blobs.length);
    expect(tokens(registry)).toEqual([
      ['repository:library/app:pull'],
      [`repository:${TARGET}:pull,push`],
      [`repository:${TARGET}:pull,push`, 'repository:library/app:pull'],
    ]);
  });

  it('only pull where the token server refuses a push, and the image is present', async () => {
    const { source, target, copy } = await pair({ target: { auth } });
    loadImage(source, 'library/app', image, 'v1');
    loadImage(target, TARGET, image, 'v1');
    target.fault({ path: '/token', query: /push/, action: { type: 'status', status: 403 } });
    for (let n = 0; n < 2; n += 1) expect((await copy()).outcome).toBe('present');
    expect(tokens(target)).toEqual([[`repository:${TARGET}:pull,push`], [`repository:${TARGET}:pull`]]);
  });

  it('are sufficient for a user who may not push, when the image is present', async () => {
    const { source, target, copy } = await pair({
      target: { auth: { ...auth, permissions: { user: { [TARGET]: ['pull'] } } } },
    });
    loadImage(source, 'library/app', image, 'v1');
    loadImage(target, TARGET, image, 'v1');
    expect((await copy()).outcome).toBe('present');
  });
});
