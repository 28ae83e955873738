import { describe, expect, it } from 'vitest';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry, FaultAction } from '../../fakes/registry.js';
import { expectComplete, pair } from './copy-pair.js';

const TARGET = 'mirror/library/app';
const image = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 1_000 });

const refusal = (status: number): FaultAction => ({ type: 'status', status, body: '' });
const manifestGets = (registry: FakeRegistry): string[] =>
  registry.requests(({ method, path }) => method === 'GET' && path.includes('/manifests/'));

describe('a registry that refuses HEAD of manifests', () => {
  it.each([400, 401, 403, 404, 405, 412, 500, 501, 503])('with %i is read as a source by GET', async (status) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    source.fault({ method: 'HEAD', path: '/manifests/', action: refusal(status) });
    expect((await copy()).digest).toBe(image.digest);
    expectComplete(target, TARGET, image);
  });

  it.each([400, 401, 403, 404, 405, 412, 500, 501, 503])('with %i is queried as a target by GET', async (status) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    target.fault({ method: 'HEAD', path: '/manifests/', action: refusal(status) });
    await copy();
    expectComplete(target, TARGET, image);
    target.accessLog.splice(0);
    // The copier finds existing content and does not send it again.
    expect((await copy()).outcome).toBe('present');
    expect(target.requests(({ method }) => method === 'PUT')).toEqual([]);
  });

  it.each(['source', 'target'] as const)('by closing the connection is queried as a %s by GET', async (end) => {
    const ends = await pair();
    const { source, target, copy } = ends;
    loadImage(source, 'library/app', image, 'v1');
    ends[end].fault({ method: 'HEAD', path: '/manifests/', action: { type: 'reset', after: 0 } });
    await copy();
    expectComplete(target, TARGET, image);
    expect((await copy()).outcome).toBe('present');
  });

  it('because its storage signs URLs only for GET is read by GET', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    const { source: store } = await pair();
    store.fault({ method: 'HEAD', action: refusal(403) });
    loadImage(store, 'library/app', image, 'v1');
    source.fault({ method: 'HEAD', path: '/manifests/', action: { type: 'redirect', to: store.origin } });
    await copy();
    expectComplete(target, TARGET, image);
  });

  it('reports its reason with GET', async () => {
    const { source, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    const body = JSON.stringify({
      errors: [{ code: 'PROJECTPOLICYVIOLATION', message: '3 critical vulnerabilities' }],
    });
    source.fault({ path: '/manifests/', action: { type: 'status', status: 412, body } });
    await expect(copy()).rejects.toMatchObject({
      kind: 'policy',
      host: source.host,
      message: expect.stringContaining('3 critical vulnerabilities') as string,
    });
  });

  it('with 429 is not queried by GET, which would count', async () => {
    const { source, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    source.fault({ method: 'HEAD', path: '/manifests/', action: refusal(429) });
    await expect(copy()).rejects.toMatchObject({ kind: 'throttled', host: source.host });
    expect(manifestGets(source)).toEqual([]);
  });

  it('with 404 until it is requested by GET, as a pull-through cache, is read as a source by GET', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    await copy();
    const other = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 1_000, seed: 9 });
    loadImage(source, 'library/app', other, 'v2');
    source.fault({ method: 'HEAD', path: '/manifests/v2', action: refusal(404) });
    await copy({ from: { tag: 'v2' }, to: { published: 'v2' } });
    expectComplete(target, TARGET, other);
  });

  it('with 404 is trusted once it has answered HEAD for another manifest', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    loadImage(target, TARGET, image, 'v0');
    loadImage(target, TARGET, image, 'v1');
    expect((await copy()).outcome).toBe('present');
    target.accessLog.splice(0);
    const other = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 1_000, seed: 9 });
    loadImage(source, 'library/app', other, 'v2');
    await copy({ from: { tag: 'v2' }, to: { published: 'v2' } });
    expectComplete(target, TARGET, other);
    expect(manifestGets(target)).toEqual([]);
  });
});

describe('a target that refuses HEAD of blobs', () => {
  it.each([400, 401, 403, 405, 412, 500, 501])('with %i receives them', async (status) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    target.fault({ method: 'HEAD', path: '/blobs/', action: refusal(status) });
    await copy();
    expectComplete(target, TARGET, image);
  });

  it('because it redirects to storage has them, without a request to the storage', async () => {
    const { source, target, copy } = await pair();
    const { source: store } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    for (const blob of image.blobs) target.putBlob(TARGET, blob);
    // Only one layer is recognized by its redirect. The config is sent.
    const layer = image.blobs[0]?.digest ?? '';
    const location = `${store.origin}/store/object?signature=for-get`;
    target.fault({
      method: 'HEAD',
      path: layer,
      action: { type: 'status', status: 307, headers: { location }, body: '' },
    });
    await copy();
    expectComplete(target, TARGET, image);
    expect(store.accessLog).toEqual([]);
    expect(source.requests(({ path }) => path.includes(layer))).toEqual([]);
  });

  it('with 429 waits', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    for (const blob of image.blobs) target.putBlob(TARGET, blob);
    target.fault({ method: 'HEAD', path: '/blobs/', times: 2, action: refusal(429) });
    await copy();
    expectComplete(target, TARGET, image);
    expect(target.requests(({ method }) => method === 'POST')).toEqual([]);
  });
});
