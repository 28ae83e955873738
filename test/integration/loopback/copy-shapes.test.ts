import { describe, expect, it } from 'vitest';
import { buildImage, loadImage, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, DOCKER_MANIFEST } from '../../fakes/images.js';
import { patternContent, sha256 } from '../../fakes/registry-content.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { pair } from './copy-pair.js';

const SOURCE = 'library/app';
const TARGET = 'mirror/library/app';

interface Entry {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: object;
}

function putIndex(registry: FakeRegistry, reference: string, manifests: readonly Entry[]): Buffer {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
  registry.putManifest(SOURCE, reference, OCI_INDEX, bytes);
  return bytes;
}

function entriesAt(registry: FakeRegistry, tag = 'v1'): readonly Entry[] {
  const { manifests } = JSON.parse(registry.manifest(TARGET, tag)?.bytes.toString() ?? '') as { manifests: Entry[] };
  return manifests;
}

describe('an index that the source has partly lost', () => {
  const options = { platforms: ['linux/amd64', 'linux/arm64'], attestations: true } as const;

  it('is written without a missing attestation, with a warning, when it is rewritten anyway', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage(options);
    loadImage(source, SOURCE, image, 'v1');
    const [attestation] = image.manifests.filter(({ platform }) => platform === undefined);
    source.deleteManifest(SOURCE, attestation?.digest ?? '');
    const result = await copy({ platforms: ['linux/amd64'] });
    expect(entriesAt(target).map(({ digest }) => digest)).toEqual([image.platforms.get('linux/amd64')]);
    expect(result.warnings.join('\n')).toContain(`the attestation ${attestation?.digest ?? ''}`);
    expect(target.manifest(TARGET, 'v1')?.digest).toBe(result.digest);
  });

  it('is copied unchanged without a missing attestation, with a warning, when the target accepts it', async () => {
    const { source, target, copy } = await pair({ target: { checkChildren: false } });
    const image = buildImage(options);
    loadImage(source, SOURCE, image, 'v1');
    const [attestation] = image.manifests.filter(({ platform }) => platform === undefined);
    source.deleteManifest(SOURCE, attestation?.digest ?? '');
    const result = await copy();
    expect(target.manifest(TARGET, 'v1')?.digest).toBe(image.digest);
    expect(result.warnings.join('\n')).toContain(attestation?.digest ?? '-');
  });

  it('names the missing attestation and the remedy when the target refuses it', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage(options);
    loadImage(source, SOURCE, image, 'v1');
    const [attestation] = image.manifests.filter(({ platform }) => platform === undefined);
    source.deleteManifest(SOURCE, attestation?.digest ?? '');
    await expect(copy()).rejects.toMatchObject({
      kind: 'invalid',
      host: source.host,
      message: expect.stringMatching(
        new RegExp(`incomplete: the attestation ${attestation?.digest ?? ''} of sha256.*set mirror.platforms`),
      ) as string,
    });
    expect(target.tags(TARGET)).toEqual([]);
  });

  it('names the missing and the available platforms', async () => {
    for (const checkChildren of [true, false]) {
      const { source, target, copy } = await pair({ target: { checkChildren } });
      const image = buildImage(options);
      loadImage(source, SOURCE, image, 'v1');
      source.deleteManifest(SOURCE, image.platforms.get('linux/arm64') ?? '');
      await expect(copy()).rejects.toThrow(
        `linux/arm64 (${image.platforms.get('linux/arm64') ?? ''}) no longer exists; ` +
          'push the image again, or set mirror.platforms to the existing platforms: [linux/amd64]',
      );
      expect(target.tags(TARGET)).toEqual([]);
      expect((await copy({ platforms: ['linux/amd64'] })).outcome).toBe('copied');
    }
  });
});

describe('a target that rejects attestations, as the registries of Alibaba and Huawei do', () => {
  const rejection = {
    type: 'status',
    status: 403,
    body: JSON.stringify({
      errors: [{ code: 'DENIED', message: 'unknown manifest class for application/vnd.oci.empty.v1+json' }],
    }),
  } as const;

  async function rejecting(checkChildren: boolean) {
    const parts = await pair({ target: { checkChildren } });
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], attestations: true });
    loadImage(parts.source, SOURCE, image, 'v1');
    for (const { digest, platform } of image.manifests.slice(0, -1)) {
      if (platform === undefined) parts.target.fault({ method: 'PUT', path: digest, action: rejection });
    }
    return { ...parts, image };
  }

  it('gets the image, with a warning, when it accepts the index', async () => {
    const { target, copy, image } = await rejecting(false);
    const { warnings } = await copy();
    expect(target.manifest(TARGET, 'v1')?.digest).toBe(image.digest);
    for (const digest of image.platforms.values()) expect(target.manifest(TARGET, digest)).toBeDefined();
    expect(warnings).toHaveLength(2);
    expect(warnings.join()).toMatch(/is not accepted by the target: HTTP 403 DENIED: unknown manifest class/);
  });

  it('gets the image without them when the index is rewritten anyway', async () => {
    const { target, copy, image } = await rejecting(true);
    await copy({ platforms: ['linux/amd64'] });
    expect(entriesAt(target).map(({ digest }) => digest)).toEqual([image.platforms.get('linux/amd64')]);
  });

  it('is named with the remedy when it rejects the index as well', async () => {
    const { target, copy } = await rejecting(true);
    await expect(copy()).rejects.toThrow(
      /accepts neither the attestation sha256:[0-9a-f]{64} \(HTTP 403 DENIED.*\) nor the index without it; set mirror\.platforms/,
    );
    expect(target.tags(TARGET)).toEqual([]);
  });

  it('gets no image whose platform it rejects', async () => {
    const { target, copy, image } = await rejecting(false);
    target.fault({ method: 'PUT', path: image.platforms.get('linux/arm64') ?? '', action: rejection });
    await expect(copy()).rejects.toMatchObject({ kind: 'unsupported', host: target.host });
    expect(target.tags(TARGET)).toEqual([]);
  });
});

describe('a source that has lost a blob', () => {
  it('is reported with the blob, and with the advice to push the image again', async () => {
    const { source, copy } = await pair();
    const image = buildImage();
    loadImage(source, 'library/app', image, 'v1');
    const lost = image.blobs[0]?.digest ?? '';
    source.deleteBlob('library/app', lost);
    await expect(copy()).rejects.toMatchObject({
      kind: 'absent',
      host: source.host,
      retryable: false,
      message: expect.stringMatching(new RegExp(`${lost}.*push the image again there`)) as string,
    });
  });
});

describe('a nested index that lacks a platform', () => {
  it('is not reported with the advice to set mirror.platforms as it is set', async () => {
    const { source, copy } = await pair();
    const image = buildImage({ nested: true });
    loadImage(source, 'library/app', image, 'v1');
    source.deleteManifest('library/app', image.platforms.get('linux/arm64') ?? '');
    const problem = /linux\/arm64 \(sha256:[0-9a-f]{64}\) no longer exists; push the image again/;
    const advice = 'set mirror.platforms to the existing platforms: [linux/amd64]';
    const refusal = async (platforms: 'all' | readonly string[]): Promise<string> =>
      String(await copy({ platforms }).catch((reason: unknown) => reason));
    expect(await refusal('all')).toMatch(problem);
    expect(await refusal('all')).toContain(advice);
    expect(await refusal(['linux/amd64'])).toMatch(problem);
    expect(await refusal(['linux/amd64'])).not.toContain(advice);
  });
});

describe('an index with unusual entries', () => {
  it.each([OCI_CONFIG, 'application/json', 'application/vnd.oci.image.layer.v1.tar'])(
    'is copied with a warning when it calls a platform %s',
    async (mediaType) => {
      const { source, target, copy } = await pair();
      const image = buildImage({ platforms: ['linux/amd64'] });
      loadImage(source, 'library/app', image, 'v0');
      const [child] = image.manifests;
      const platform = { os: 'linux', architecture: 'amd64' };
      const manifests = [{ mediaType, digest: child?.digest, size: child?.bytes.length, platform }];
      const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
      const digest = source.putManifest('library/app', 'v1', OCI_INDEX, bytes);
      expect((await copy()).warnings).toEqual([expect.stringContaining(`its index says "${mediaType}"`)]);
      expect(target.manifest('mirror/library/app', 'v1')?.digest).toBe(digest);
      expect(target.manifest('mirror/library/app', child?.digest ?? '')?.bytes).toEqual(child?.bytes);
    },
  );

  it('is copied with a warning when it gives a child another media type', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage({ platforms: ['linux/amd64'] });
    loadImage(source, SOURCE, image);
    const [child] = image.manifests;
    const size = child?.bytes.length ?? 0;
    const bytes = putIndex(source, 'v1', [{ mediaType: DOCKER_MANIFEST, digest: child?.digest ?? '', size }]);
    const result = await copy();
    expect(target.manifest(TARGET, 'v1')?.bytes).toEqual(bytes);
    expect(target.manifest(TARGET, child?.digest ?? '')?.mediaType).toBe(OCI_MANIFEST);
    expect(result.warnings.join('\n')).toMatch(/is .*oci.image.manifest.*but its index says .*docker/);
  });

  it('keeps entries without a platform and nested indexes under mirror.platforms', async () => {
    const { source, target, copy } = await pair();
    const inner = buildImage({ platforms: ['linux/s390x'], seed: 2 });
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64', 'linux/riscv64'] });
    loadImage(source, SOURCE, inner);
    loadImage(source, SOURCE, image);
    const entry = (digest: string, platform?: object): Entry => {
      const found = source.manifest(SOURCE, digest);
      return {
        ...{ mediaType: found?.mediaType ?? '', digest, size: found?.bytes.length ?? 0 },
        ...(platform && { platform }),
      };
    };
    const amd64 = entry(image.platforms.get('linux/amd64') ?? '', { os: 'linux', architecture: 'amd64' });
    const arm64 = entry(image.platforms.get('linux/arm64') ?? '', { os: 'linux', architecture: 'arm64' });
    const bare = entry(image.platforms.get('linux/riscv64') ?? '');
    const nested = entry(inner.digest);
    putIndex(source, 'v1', [amd64, arm64, bare, nested]);
    await copy({ platforms: ['linux/amd64'] });
    expect(entriesAt(target)).toEqual([amd64, bare, nested]);
    // The platform of every entry is unknown, so the index stays unchanged.
    const whole = putIndex(source, 'v1', [bare, nested]);
    await copy({ platforms: ['linux/amd64'] });
    expect(target.manifest(TARGET, 'v1')?.bytes).toEqual(whole);
    putIndex(source, 'v1', [arm64]);
    await expect(copy({ platforms: ['linux/amd64'] })).rejects.toThrow('none of the platforms linux/amd64');
  });

  it('of null, as a nil list of Go, is copied', async () => {
    const { source, target, copy } = await pair();
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: null }));
    source.putManifest('library/app', 'v1', OCI_INDEX, bytes);
    await copy();
    expect(target.manifest('mirror/library/app', 'v1')?.bytes.equals(bytes)).toBe(true);
  });

  it('of blobs, as in a BuildKit cache, is copied with its blobs', async () => {
    const { source, target, copy } = await pair({ target: { checkChildren: false } });
    const blobs = [patternContent(2_000, 1), patternContent(100, 2)];
    const types = ['application/vnd.oci.image.layer.v1.tar+gzip', 'application/vnd.buildkit.cacheconfig.v0'];
    for (const blob of blobs) source.putBlob(SOURCE, blob);
    const entries = blobs.map(({ digest, size }, at) => ({ mediaType: types[at] ?? '', digest, size }));
    const bytes = putIndex(source, 'v1', entries);
    expect(await copy()).toMatchObject({ outcome: 'copied', digest: sha256(bytes) });
    for (const blob of blobs) expect(target.blob(blob.digest, TARGET)?.size).toBe(blob.size);
    expect(source.requests(({ path }) => blobs.some(({ digest }) => path.endsWith(`/manifests/${digest}`)))).toEqual(
      [],
    );
  });
});
