import { afterEach, describe, expect, it } from 'vitest';
import { copyImage, type CopyOptions, type CopyProgress } from '../../../extension-service/src/registry/copy.js';
import { RegistryError } from '../../../extension-service/src/registry/errors.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { BlobLedger } from '../../../extension-service/src/registry/ledger.js';
import { buildImage, buildReferrer, loadImage, type BuiltImage } from '../../fakes/images.js';
import { bytesContent, sha256 } from '../../fakes/registry-content.js';
import { FakeRegistry, type FakeRegistryOptions } from '../../fakes/registry.js';

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function start(options?: FakeRegistryOptions): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options);
  cleanups.push(() => registry.close());
  return registry;
}

interface Pair {
  readonly source: FakeRegistry;
  readonly target: FakeRegistry;
  readonly copy: (
    options?: Partial<Omit<CopyOptions, 'source' | 'target'>> & { from?: object; to?: object },
  ) => ReturnType<typeof copyImage>;
}

async function pair(
  options: { source?: FakeRegistryOptions; target?: FakeRegistryOptions; same?: boolean } = {},
): Promise<Pair> {
  const source = await start(options.source);
  const target = options.same === true ? source : await start(options.target);
  const factory = new RegistryFactory({
    endpoints: [source, target].map(({ host }) => ({ host, insecure: true })),
    hosts: { allow: [], deny: [] },
    env: {},
    timeouts: { connect: 2_000, headers: 1_000, idle: 300 },
    retry: { baseDelay: 1, maxDelay: 5 },
  });
  cleanups.push(() => factory.close());
  const keychain = { resolve: async () => [{ username: 'user', password: 'secret' }] };
  const clients = { source: factory.client(source.host, keychain), target: factory.client(target.host, keychain) };
  return {
    source,
    target,
    copy: ({ from, to, ...rest } = {}) =>
      copyImage({
        source: { client: clients.source, reference: { repository: 'library/app', tag: 'v1', ...from } },
        target: { client: clients.target, reference: { repository: 'mirror/library/app', tag: 'v1', ...to } },
        ...rest,
      }),
  };
}

/** Every manifest and blob of the image is in the target with the same bytes. */
function expectComplete(target: FakeRegistry, repository: string, image: BuiltImage): void {
  for (const manifest of image.manifests)
    expect(target.manifest(repository, manifest.digest)?.bytes).toEqual(manifest.bytes);
  for (const blob of image.blobs) expect(target.blob(blob.digest, repository)?.size).toBe(blob.size);
}

function writes(registry: FakeRegistry): string[] {
  return registry.requests((entry) => entry.method === 'PUT' || entry.method === 'POST' || entry.method === 'PATCH');
}

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

  it('sends nothing, and pulls nothing, when the tag is there already', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    loadImage(target, 'mirror/library/app', image, 'v1');
    const result = await copy();
    expect(result).toMatchObject({ outcome: 'present', digest: image.digest });
    expect(writes(target)).toEqual([]);
    expect(source.requests(({ path }) => path.includes('library'))).toEqual(['HEAD /v2/library/app/manifests/v1']);
  });

  it('only gives the tag when the digest is there already', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    loadImage(target, 'mirror/library/app', image);
    const result = await copy();
    expect(result.outcome).toBe('tagged');
    expect(target.manifest('mirror/library/app', 'v1')?.digest).toBe(image.digest);
    expect(source.requests(({ method, path }) => method === 'GET' && path !== '/v2/')).toEqual([]);
  });

  it('moves a tag that has moved at the source, sending only what is new', async () => {
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

  it('puts the manifests again when forced', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    loadImage(target, 'mirror/library/app', image, 'v1');
    const result = await copy({ force: true });
    expect(result).toMatchObject({ outcome: 'copied', manifestsPushed: 3 });
    expect(result.blobs.uploaded.count).toBe(0);
  });

  it('copies by digest under the keeper tag, and leaves the tag alone', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    const name = { from: { digest: image.digest }, to: { digest: image.digest, keeperTag: 'keep-0123456789ab' } };
    await copy(name);
    expect(target.tags('mirror/library/app')).toEqual(['keep-0123456789ab']);
    expectComplete(target, 'mirror/library/app', image);
    expect(await copy(name)).toMatchObject({ outcome: 'present', requests: { source: 0 } });
    target.deleteManifest('mirror/library/app', 'keep-0123456789ab');
    expect(await copy(name)).toMatchObject({ outcome: 'tagged', requests: { source: 0 } });
    expect(target.tags('mirror/library/app')).toEqual(['keep-0123456789ab']);
  });

  it('copies only the platforms asked for, with their attestations, and knows it the next time', async () => {
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

  it('mounts within a registry, and uploads when the registry answers 202 to the mount', async () => {
    for (const mounts of [true, false]) {
      const { source, copy } = await pair({ same: true, source: { mounts } });
      const image = buildImage();
      loadImage(source, 'library/app', image, 'v1');
      const result = await copy();
      expect(result.blobs[mounts ? 'mounted' : 'uploaded'].count).toBe(image.blobs.length);
      expect(source.requests(({ query }) => query.includes('from=library%2Fapp'))).toHaveLength(image.blobs.length);
      // A 202 to the mount is the session that is used: no second POST.
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

  it('sends a blob once, however many copies of it run', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ layerSize: 200_000 });
    loadImage(source, 'library/app', image, 'v1');
    const ledger = new BlobLedger();
    await Promise.all(Array.from({ length: 6 }, (_, i) => copy({ ledger, to: { tag: `t${i}` } })));
    expect(target.requests(({ method, path }) => method === 'POST' && path.includes('/uploads/'))).toHaveLength(
      image.blobs.length,
    );
    expect(target.tags('mirror/library/app')).toHaveLength(6);
  });

  it('reads and sends an image once, under however many names it is asked for at once', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ layerSize: 200_000 });
    for (const tag of ['v1', 'v1.27', 'stable']) loadImage(source, 'library/app', image, tag);
    const ledger = new BlobLedger();
    const names = [{ tag: 'v1' }, { tag: 'v1.27' }, { tag: 'stable' }, { digest: image.digest, keeperTag: 'keep-1' }];
    const results = await Promise.all(names.map((name) => copy({ ledger, from: name, to: name })));
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

  it('of names asked for at once, brings the image under the others when the first one fails', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    for (const tag of ['v1', 'v2']) loadImage(source, 'library/app', image, tag);
    target.fault({ method: 'PUT', path: '/manifests/v1', action: { type: 'status', status: 403 } });
    const ledger = new BlobLedger();
    const copies = ['v1', 'v2'].map((tag) => copy({ ledger, from: { tag }, to: { tag } }));
    const [first, second] = await Promise.allSettled(copies);
    expect([first?.status, second?.status]).toEqual(['rejected', 'fulfilled']);
    expect(target.tags('mirror/library/app')).toEqual(['v2']);
  });

  it('leaves foreign layers where they are', async () => {
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

  it('copies artifacts with media types that it has never heard of', async () => {
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

  it('takes an immutable tag that holds the same image as success, and another one as a conflict', async () => {
    const { source, target, copy } = await pair({ target: { immutableTags: true } });
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    await copy();
    expect((await copy({ force: true })).digest).toBe(image.digest);
    loadImage(source, 'library/app', buildImage({ seed: 2 }), 'v1');
    await expect(copy()).rejects.toMatchObject({ kind: 'conflict', retryable: false, host: target.host });
  });

  it('copies between registries that want tokens, asking for pull and push', async () => {
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

describe('copyImage with a registry that lies or dies', () => {
  const lie = (path: RegExp, action: Parameters<FakeRegistry['fault']>[0]['action']) => ({ path, action });
  it.each([
    ['wrong bytes of a blob', lie(/\/blobs\/sha256/, { type: 'wrong-bytes' }), 'invalid'],
    ['a blob with a longer Content-Length', lie(/\/blobs\/sha256/, { type: 'content-length', delta: 5 }), 'invalid'],
    ['a blob with a shorter Content-Length', lie(/\/blobs\/sha256/, { type: 'content-length', delta: -5 }), 'invalid'],
    ['a blob that ends early', lie(/\/blobs\/sha256/, { type: 'truncate', after: 70_000 }), 'invalid'],
    ['a blob whose connection is reset', lie(/\/blobs\/sha256/, { type: 'reset', after: 70_000 }), 'unreachable'],
    ['a blob that stops', lie(/\/blobs\/sha256/, { type: 'hang', after: 70_000 }), 'unreachable'],
    ['an HTML page for a blob', lie(/\/blobs\/sha256/, { type: 'html', status: 200 }), 'invalid'],
    ['an HTML page for a manifest', lie(/\/manifests\//, { type: 'html', status: 200 }), 'invalid'],
    ['wrong bytes of a manifest', lie(/\/manifests\/sha256/, { type: 'wrong-bytes' }), 'invalid'],
    ['a manifest that ends early', lie(/\/manifests\/sha256/, { type: 'truncate', after: 40 }), 'invalid'],
    ['a proxy error', lie(/\/manifests\/sha256/, { type: 'html', status: 502 }), 'server'],
    [
      'endless throttling',
      lie(/\/blobs\//, { type: 'status', status: 429, headers: { 'retry-after': '3600' } }),
      'throttled',
    ],
    [
      'another digest in the header',
      lie(/\/manifests\/sha256/, { type: 'header', name: 'docker-content-digest', value: sha256(Buffer.from('x')) }),
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

  it('cancels the upload that a lying source spoilt', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 100_000 });
    loadImage(source, 'library/app', image, 'v1');
    source.fault({ path: image.blobs[0]?.digest ?? '', action: { type: 'truncate', after: 90_000 } });
    await expect(copy()).rejects.toMatchObject({ kind: 'invalid' });
    expect(target.openUploads).toBe(0);
  });

  it('says that a repository is missing at a target that creates none', async () => {
    const { source, copy } = await pair({ target: { createOnPush: false } });
    loadImage(source, 'library/app', buildImage(), 'v1');
    await expect(copy()).rejects.toMatchObject({
      kind: 'absent',
      status: 404,
      diagnostics: [{ code: 'NAME_UNKNOWN' }],
    });
  });

  it('says that an image does not exist', async () => {
    const { copy } = await pair();
    await expect(copy()).rejects.toMatchObject({ kind: 'absent', retryable: false });
  });

  it('refuses Docker schema 1 in words', async () => {
    const { source, copy } = await pair();
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 1, name: 'x', tag: 'v1', fsLayers: [] }));
    source.putManifest('library/app', 'v1', 'application/vnd.docker.distribution.manifest.v1+prettyjws', bytes);
    await expect(copy()).rejects.toThrow(/schema 1.*rebuild/);
  });

  it.each([
    ['depth', { depth: 1 }, /nested more than 1/],
    ['manifests', { manifests: 2 }, /more than 2 manifests/],
    ['bytes of manifests', { manifestBytes: 100 }, /more than 100 bytes/],
    ['bytes of blobs', { blobBytes: 1_000 }, /more than 1000 bytes/],
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
