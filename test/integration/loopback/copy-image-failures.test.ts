import { describe, expect, it } from 'vitest';
import { RegistryError } from '../../../extension-service/src/registry/errors.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { sha256 } from '../../fakes/registry-content.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { expectComplete, pair } from './copy-pair.js';

describe('copyImage with a registry that sends wrong content or disconnects', () => {
  const faultFor = (path: RegExp, action: Parameters<FakeRegistry['fault']>[0]['action']) => ({ path, action });
  it.each([
    ['wrong bytes of a blob', faultFor(/\/blobs\/sha256/, { type: 'wrong-bytes' }), 'invalid'],
    [
      'a blob with a longer Content-Length',
      faultFor(/\/blobs\/sha256/, { type: 'content-length', delta: 5 }),
      'invalid',
    ],
    [
      'a blob with a shorter Content-Length',
      faultFor(/\/blobs\/sha256/, { type: 'content-length', delta: -5 }),
      'invalid',
    ],
    ['a blob that ends early', faultFor(/\/blobs\/sha256/, { type: 'truncate', after: 70_000 }), 'invalid'],
    [
      'a blob whose connection is reset too early',
      faultFor(/\/blobs\/sha256/, { type: 'reset', after: 70 }),
      'unreachable',
    ],
    ['a blob that stops too early', faultFor(/\/blobs\/sha256/, { type: 'hang', after: 70 }), 'unreachable'],
    ['an HTML page for a blob', faultFor(/\/blobs\/sha256/, { type: 'html', status: 200 }), 'invalid'],
    ['an HTML page for a manifest', faultFor(/\/manifests\//, { type: 'html', status: 200 }), 'invalid'],
    ['wrong bytes of a manifest', faultFor(/\/manifests\/sha256/, { type: 'wrong-bytes' }), 'invalid'],
    ['a manifest that ends early', faultFor(/\/manifests\/sha256/, { type: 'truncate', after: 40 }), 'invalid'],
    ['a proxy error', faultFor(/\/manifests\/sha256/, { type: 'html', status: 502 }), 'server'],
    [
      'endless throttling',
      faultFor(/\/blobs\//, { type: 'status', status: 429, headers: { 'retry-after': '3600' } }),
      'throttled',
    ],
    [
      'another digest in the header',
      faultFor(/\/manifests\/sha256/, {
        type: 'header',
        name: 'docker-content-digest',
        value: sha256(Buffer.from('x')),
      }),
      'invalid',
    ],
  ])('leaves no tag behind after %s, and blames the source', async (_, rule, kind) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', buildImage({ layerSize: 150_000 }), 'v1');
    source.fault(rule);
    const error = await copy().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RegistryError);
    expect(error).toMatchObject({ kind, host: source.host });
    expect(target.tags('mirror/library/app')).toEqual([]);
    expect(target.requests(({ method, path }) => method === 'PUT' && path.endsWith('/manifests/v1'))).toEqual([]);
  });

  it.each([
    ['500 twice', { times: 2, action: { type: 'status', status: 500 } }],
    ['429 with Retry-After', { times: 1, action: { type: 'status', status: 429, headers: { 'retry-after': '0' } } }],
    [
      'a reset in the middle of a blob',
      { path: /\/blobs\/sha256/, times: 2, action: { type: 'reset', after: 50_000 } },
    ],
    ['wrong bytes once', { path: /\/blobs\/sha256/, times: 1, action: { type: 'wrong-bytes' } }],
    ['no digest in the header', { action: { type: 'omit-header', name: 'docker-content-digest' } }],
  ] as const)('copies in spite of %s from the source', async (_, rule) => {
    const { source, target, copy } = await pair();
    const image = buildImage({ layerSize: 100_000 });
    loadImage(source, 'library/app', image, 'v1');
    source.fault(rule);
    expect((await copy()).digest).toBe(image.digest);
    expectComplete(target, 'mirror/library/app', image);
  });

  it.each([
    ['refuses manifests', { method: 'PUT', path: '/manifests/', action: { type: 'status', status: 403 } }, 'forbidden'],
    ['stops taking a blob', { method: 'PUT', path: '/uploads/', action: { type: 'hang' } }, 'unreachable'],
    ['resets an upload', { method: 'PUT', path: '/uploads/', action: { type: 'reset', after: 0 } }, 'unreachable'],
  ] as const)('blames the target that %s', async (_, rule, kind) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', buildImage({ layerSize: 100_000 }), 'v1');
    target.fault(rule);
    await expect(copy()).rejects.toMatchObject({ kind, host: target.host });
    expect(target.tags('mirror/library/app')).toEqual([]);
  });

  it.each([
    ['and the length of the blob says so', { type: 'delay', milliseconds: 0 }],
    ['and the blob has no length', { type: 'omit-header', name: 'content-length' }],
  ] as const)('refuses a manifest that understates the size of a blob, %s', async (_, action) => {
    const { source, target, copy } = await pair();
    const image = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 100_000 });
    const [child] = image.manifests;
    for (const blob of image.blobs) source.putBlob('library/app', blob);
    const bytes = Buffer.from(child?.bytes.toString().replace('"size": 100000', '"size": 99999') ?? '');
    source.putManifest('library/app', 'v1', child?.mediaType ?? '', bytes);
    source.fault({ path: /\/blobs\/sha256/, action });
    await expect(copy()).rejects.toMatchObject({
      kind: 'invalid',
      host: source.host,
      message: expect.stringMatching(/99999/) as string,
    });
    expect(target.tags('mirror/library/app')).toEqual([]);
  });

  it('cancels the upload when the source sends wrong content', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 100_000 });
    loadImage(source, 'library/app', image, 'v1');
    source.fault({ path: image.blobs[0]?.digest ?? '', action: { type: 'truncate', after: 90_000 } });
    await expect(copy()).rejects.toMatchObject({ kind: 'invalid' });
    expect(target.openUploads).toBe(0);
  });

  it('reports a missing repository at a target that creates none', async () => {
    const { source, copy } = await pair({ target: { createOnPush: false } });
    loadImage(source, 'library/app', buildImage(), 'v1');
    await expect(copy()).rejects.toMatchObject({
      kind: 'missing',
      status: 404,
      diagnostics: [{ code: 'NAME_UNKNOWN' }],
    });
  });

  it('reports that an image does not exist', async () => {
    const { copy } = await pair();
    await expect(copy()).rejects.toMatchObject({ kind: 'absent', retryable: false });
  });

  it('refuses Docker schema 1 with an explanation', async () => {
    const { source, copy } = await pair();
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 1, name: 'x', tag: 'v1', fsLayers: [] }));
    source.putManifest('library/app', 'v1', 'application/vnd.docker.distribution.manifest.v1+prettyjws', bytes);
    await expect(copy()).rejects.toThrow(/schema 1.*rebuild/);
  });

  it.each([
    ['depth', { depth: 1 }, /nested more than 1/],
    ['manifests', { manifests: 2 }, /more than 2 manifests/],
    ['bytes of manifests', { manifestBytes: 100 }, /manifests exceed 100 bytes/],
    ['bytes of blobs', { blobBytes: 1_000 }, /blobs exceed 1000 bytes/],
  ])('stops at the limit of %s', async (_, limits, message) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', buildImage({ nested: true }), 'v1');
    await expect(copy({ limits })).rejects.toThrow(message);
    expect(target.tags('mirror/library/app')).toEqual([]);
  });

  it('ends at once with the reason of an abort', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', buildImage({ layerSize: 500_000 }), 'v1');
    source.fault({ path: /\/blobs\//, action: { type: 'slow', bytesPerSecond: 100_000 } });
    const reason = new Error('shutting down');
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 100);
    await expect(copy({ signal: controller.signal })).rejects.toBe(reason);
    expect(target.tags('mirror/library/app')).toEqual([]);
  });
});
