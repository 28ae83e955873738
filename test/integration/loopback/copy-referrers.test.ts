import { describe, expect, it } from 'vitest';
import { BlobLedger } from '../../../extension-service/src/registry/ledger.js';
import { buildImage, buildReferrer, loadImage, OCI_INDEX } from '../../fakes/images.js';
import type { BuiltManifest } from '../../fakes/images.js';
import type { FakeRegistry, FaultAction } from '../../fakes/registry.js';
import { bytesContent, sha256 } from '../../fakes/registry-content.js';
import { until } from '../../fakes/until.js';
import { pair, writes } from './copy-pair.js';

const SOURCE = 'library/app';
const TARGET = 'mirror/library/app';
/** The default signature format of cosign 3. */
const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const SPDX = 'application/spdx+json';

function tagOf(digest: string): string {
  return digest.replace(':', '-');
}

/** Attaches an artifact by `subject`, as `oras attach` and cosign 3 do. */
function attach(registry: FakeRegistry, subject: BuiltManifest, type: string, payload = type): BuiltManifest {
  const { manifest, blobs } = buildReferrer(subject, type, payload);
  for (const blob of blobs) registry.putBlob(SOURCE, blob);
  registry.putManifest(SOURCE, manifest.digest, manifest.mediaType, manifest.bytes);
  return manifest;
}

/** The list of referrers that clients maintain when the registry does not. */
function listUnderTag(registry: FakeRegistry, subject: BuiltManifest, referrers: readonly BuiltManifest[]): void {
  const manifests = referrers.map(({ mediaType, digest, bytes }) => ({ mediaType, digest, size: bytes.length }));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
  registry.putManifest(SOURCE, tagOf(subject.digest), OCI_INDEX, bytes);
}

/** The signature format of cosign 2: a tag that contains the subject's digest. */
function tagFor(registry: FakeRegistry, subject: BuiltManifest, kind: string): BuiltManifest {
  const { manifest, blobs } = buildReferrer(subject, `application/vnd.acme.${kind}`, `${kind} of ${subject.digest}`);
  const json = JSON.parse(manifest.bytes.toString()) as Record<string, unknown>;
  delete json['subject'];
  const bytes = Buffer.from(JSON.stringify(json));
  for (const blob of blobs) registry.putBlob(SOURCE, blob);
  const digest = registry.putManifest(SOURCE, `${tagOf(subject.digest)}.${kind}`, manifest.mediaType, bytes);
  return { ...manifest, bytes, digest };
}

function topOf(image: ReturnType<typeof buildImage>): BuiltManifest {
  const top = image.manifests.at(-1);
  if (top === undefined) throw new Error('no index');
  return top;
}

describe('referrers of a new image', () => {
  it('are looked up at the source while its content is copied', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    target.fault({ method: 'POST', action: { type: 'hang' } });
    const end = new AbortController();
    const failed = copy({ referrers: true, signal: end.signal }).catch((error: unknown) => error);
    const isAsked = ({ digest }: BuiltManifest): boolean =>
      source.requests().includes(`GET /v2/${SOURCE}/referrers/${digest}`) &&
      source.requests().includes(`HEAD /v2/${SOURCE}/manifests/${tagOf(digest)}.sig`);
    await until('every manifest is looked up', () => image.manifests.every(isAsked));
    expect(writes(target).filter((request) => !request.startsWith('POST'))).toEqual([]);
    end.abort(new Error('the test has seen enough'));
    expect(await failed).toMatchObject({ message: 'the test has seen enough' });
  });
});

describe('an artifact manifest of the release candidates of OCI 1.1, as notation and ORAS pushed it', () => {
  const type = 'application/vnd.oci.artifact.manifest.v1+json';
  const payload = bytesContent(Buffer.from('a signature'));
  const blobs = [{ mediaType: 'application/jose+json', digest: payload.digest, size: payload.size }];

  it.each(['a referrer', 'an image'])('is copied with its blobs as %s', async (as) => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    const { digest, mediaType, bytes: subjectBytes } = topOf(image);
    const subject = { mediaType, digest, size: subjectBytes.length };
    const bytes = Buffer.from(JSON.stringify({ mediaType: type, artifactType: BUNDLE, blobs, subject }));
    source.putBlob(SOURCE, payload);
    const reference = as === 'an image' ? 'v1' : sha256(bytes);
    source.putManifest(SOURCE, reference, type, bytes);
    expect((await copy({ referrers: true })).warnings).toEqual([]);
    const copied = target.manifest(TARGET, reference);
    expect(copied?.bytes.equals(bytes)).toBe(true);
    expect(copied?.mediaType).toBe(type);
    expect(target.blob(payload.digest, TARGET)?.size).toBe(payload.size);
  });
});

describe('referrers of an image that is present', () => {
  it('are copied when they were attached after the first copy, also to another tag of the image', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    for (const tag of ['v1', 'v2']) loadImage(source, SOURCE, image, tag);
    const ledger = new BlobLedger();
    await copy({ referrers: true, ledger });
    const first = attach(source, topOf(image), BUNDLE);
    expect((await copy({ referrers: true, ledger })).outcome).toBe('present');
    expect(target.manifest(TARGET, first.digest)?.bytes).toEqual(first.bytes);
    const second = attach(source, topOf(image), SPDX);
    await copy({ referrers: true, ledger, from: { tag: 'v2' }, to: { published: 'v2' } });
    expect(target.manifest(TARGET, second.digest)?.bytes).toEqual(second.bytes);
    expect(target.tags(TARGET)).toEqual(['v1', 'v2']);
  });

  it('cost one request per registry and one list at the source when nothing has changed', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    attach(source, topOf(image), BUNDLE);
    const ledger = new BlobLedger();
    await copy({ referrers: true, ledger });
    const before = { source: source.accessLog.length, target: target.accessLog.length };
    await copy({ referrers: true, ledger });
    expect(source.requests().slice(before.source)).toEqual([
      `HEAD /v2/${SOURCE}/manifests/v1`,
      `GET /v2/${SOURCE}/referrers/${image.digest}`,
    ]);
    expect(target.requests().slice(before.target)).toEqual([`HEAD /v2/${TARGET}/manifests/v1`]);
  });

  it('below the top and in the tags of cosign 2 are compared when all are requested', async () => {
    const { source, target, copy, check } = await pair();
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    await copy({ referrers: true });
    const [child] = image.manifests;
    if (child === undefined) throw new Error('no child');
    const bundle = attach(source, child, BUNDLE);
    const signature = tagFor(source, child, 'sig');
    await check(image.digest, { referrers: true });
    expect(target.manifest(TARGET, bundle.digest)).toBeUndefined();
    await check(image.digest, { referrers: true, presentReferrers: 'all', presence: 'tree' });
    expect(target.manifest(TARGET, bundle.digest)?.bytes).toEqual(bundle.bytes);
    expect(target.manifest(TARGET, `${tagOf(child.digest)}.sig`)?.bytes).toEqual(signature.bytes);
  });

  it('that the target has lost are restored when all are requested, with the list under its fallback tag', async () => {
    const { source, target, copy, check } = await pair({ target: { referrers: false } });
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    const bundle = attach(source, topOf(image), BUNDLE);
    await copy({ referrers: true });
    target.deleteManifest(TARGET, bundle.digest);
    await check(image.digest, { referrers: true, presentReferrers: 'all', presence: 'tree' });
    expect(target.manifest(TARGET, bundle.digest)?.bytes).toEqual(bundle.bytes);
    target.deleteManifest(TARGET, tagOf(image.digest));
    await check(image.digest, { referrers: true, presentReferrers: 'all', presence: 'tree' });
    const list = JSON.parse(target.manifest(TARGET, tagOf(image.digest))?.bytes.toString() ?? '') as {
      manifests: object[];
    };
    expect(list.manifests).toMatchObject([{ digest: bundle.digest, artifactType: BUNDLE }]);
  });
});

describe('every manifest of the tree is a subject', () => {
  it.each([
    ['referrers API', {}],
    ['no referrers API', { referrers: false }],
  ])('in both forms, in nested indexes, and referrers of referrers, to a target with %s', async (_, options) => {
    const { source, target, copy } = await pair({ target: options });
    const image = buildImage({ nested: true });
    loadImage(source, SOURCE, image, 'v1');
    const attached = image.manifests.flatMap((subject) => {
      const sbom = attach(source, subject, SPDX, `sbom of ${subject.digest}`);
      const signature = attach(source, sbom, BUNDLE, `signature on ${sbom.digest}`);
      return [sbom, signature, attach(source, subject, BUNDLE, `signature of ${subject.digest}`)];
    });
    const tags = image.manifests.map((subject) => [subject, tagFor(source, subject, 'sig')] as const);
    const onSbom = tagFor(source, attached[0] as BuiltManifest, 'sig');
    const result = await copy({ referrers: true });
    expect(result).toMatchObject({ warnings: [], unfinished: [] });
    for (const { digest, bytes } of [...attached, onSbom])
      expect(target.manifest(TARGET, digest)?.bytes).toEqual(bytes);
    for (const [{ digest }, signature] of tags) {
      expect(target.manifest(TARGET, `${tagOf(digest)}.sig`)?.digest).toBe(signature.digest);
    }
    const puts = target.requests(({ method, path }) => method === 'PUT' && path.includes('/manifests/'));
    expect(puts.at(-1)).toMatch(/\/manifests\/v1$/);
    if ('referrers' in options) {
      const text = target.manifest(TARGET, tagOf(image.digest))?.bytes.toString() ?? '';
      const list = JSON.parse(text) as { readonly manifests: readonly { readonly artifactType: string }[] };
      expect(list.manifests.map(({ artifactType }) => artifactType).sort()).toEqual([BUNDLE, SPDX].sort());
    }
  });

  it('a child with a subject extends the list of its subject where the registry does not', async () => {
    const { source, target, copy } = await pair({ target: { referrers: false } });
    const image = buildImage();
    const { manifest: child, blobs } = buildReferrer(topOf(image), SPDX, 'an attestation that is a child');
    for (const blob of blobs) source.putBlob(SOURCE, blob);
    source.putManifest(SOURCE, child.digest, child.mediaType, child.bytes);
    const entry = { mediaType: child.mediaType, digest: child.digest, size: child.bytes.length };
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry] }));
    source.putManifest(SOURCE, 'v1', OCI_INDEX, index);
    await copy();
    const list = JSON.parse(target.manifest(TARGET, tagOf(image.digest))?.bytes.toString() ?? '') as object;
    expect(list).toMatchObject({ manifests: [{ ...entry, artifactType: SPDX }] });
  });
});

describe('a source without the referrers API', () => {
  it.each([
    ['400', { type: 'status', status: 400 }],
    ['403', { type: 'status', status: 403 }],
    ['404', { type: 'status', status: 404 }],
    ['405', { type: 'status', status: 405 }],
    ['406', { type: 'status', status: 406 }],
    ['501', { type: 'status', status: 501 }],
    ['200 with an HTML page', { type: 'html', status: 200 }],
    ['200 with other JSON', { type: 'status', status: 200, body: '{"message":"hello"}' }],
    ['303', { type: 'status', status: 303, headers: { location: '/login' } }],
  ] as const satisfies readonly (readonly [string, FaultAction])[])(
    'that answers %s is read from the fallback tag',
    async (_, action) => {
      const { source, target, copy } = await pair();
      const image = buildImage();
      loadImage(source, SOURCE, image, 'v1');
      const bundle = attach(source, topOf(image), BUNDLE);
      listUnderTag(source, topOf(image), [bundle]);
      source.fault({ path: '/referrers/', action });
      const result = await copy({ referrers: true });
      expect(result.unfinished).toEqual([]);
      expect(target.manifest(TARGET, bundle.digest)?.bytes).toEqual(bundle.bytes);
    },
  );

  it.each([429, 500, 503])('is not assumed when it answers %s, because signatures may exist', async (status) => {
    const { source, target, copy } = await pair({ retry: { attempts: 2, baseDelay: 1, maxDelay: 5 } });
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    source.fault({ path: '/referrers/', action: { type: 'status', status } });
    await expect(copy({ referrers: true })).rejects.toMatchObject({ retryable: true, host: source.host });
    expect(target.tags(TARGET)).toEqual([]);
  });
});

describe('a registry that returns the image itself under its fallback tag, as GitLab does', () => {
  const image = buildImage();
  const tag = tagOf(image.digest);
  const alias = (registry: FakeRegistry, repository: string): string =>
    registry.putManifest(repository, tag, OCI_INDEX, topOf(image).bytes);

  it('has no referrers as a source, and no list is written', async () => {
    const { source, target, copy } = await pair({ source: { referrers: false }, target: { referrers: false } });
    loadImage(source, SOURCE, image, 'v1');
    alias(source, SOURCE);
    expect((await copy({ referrers: true })).warnings).toEqual([]);
    expect(target.tags(TARGET)).toEqual(['v1']);
  });

  it('gets a list as a target that once was given the image by mistake', async () => {
    const { source, target, copy } = await pair({ target: { referrers: false } });
    loadImage(source, SOURCE, image, 'v1');
    const signature = attach(source, topOf(image), BUNDLE);
    loadImage(target, TARGET, image);
    alias(target, TARGET);
    expect((await copy({ referrers: true })).warnings).toEqual([]);
    const list = JSON.parse(target.manifest(TARGET, tag)?.bytes.toString() ?? '') as {
      manifests: { digest: string }[];
    };
    expect(list.manifests.map(({ digest }) => digest)).toEqual([signature.digest]);
  });

  it('is named as a target that keeps to it', async () => {
    const { source, target, copy } = await pair({ target: { referrers: false } });
    loadImage(source, SOURCE, image, 'v1');
    attach(source, topOf(image), BUNDLE);
    target.fault({
      method: 'GET',
      path: `/manifests/${tag}`,
      action: {
        type: 'status',
        status: 200,
        headers: { 'content-type': OCI_INDEX },
        body: topOf(image).bytes.toString(),
      },
    });
    const { warnings } = await copy({ referrers: true });
    expect(warnings.join()).toMatch(
      /the registry returns the image under the tag sha256-[0-9a-f]{64}, so it cannot list/,
    );
    expect(target.manifest(TARGET, 'v1')?.digest).toBe(image.digest);
  });
});

describe('long lists of referrers', () => {
  it.each([
    ['quoted', false],
    ['unquoted', true],
  ])('are read to their last page by a Link with rel=next %s', async (_, bareLinks) => {
    const { source, target, copy } = await pair({ source: { referrersPage: 1, bareLinks } });
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    const all = [1, 2, 3].map((count) => attach(source, topOf(image), BUNDLE, `bundle ${count}`));
    expect((await copy({ referrers: true })).warnings).toEqual([]);
    for (const { digest } of all) expect(target.manifest(TARGET, digest)).toBeDefined();
  });

  it.each<[string, (digest: string) => string, string?]>([
    ['below a path of a front', (digest) => `/front/v2/x/referrers/${digest}`],
    ['with an escaped digest', (digest) => `/v2/${SOURCE}/referrers/${digest.replace(':', '%3A')}`],
    ['at another host', (digest) => `https://registry.example/v2/${SOURCE}/referrers/${digest}`],
    ['as a query alone', () => ''],
    ['without angle brackets', (digest) => `/v2/${SOURCE}/referrers/${digest}`, ''],
    ['to another host, without angle brackets', (digest) => `https://registry.example/x/referrers/${digest}`, ''],
  ])('are read to their last page by a Link %s', async (_, path, brackets = '<>') => {
    const { source, target, copy } = await pair({ source: { referrersPage: 1 } });
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    const all = [1, 2].map((count) => attach(source, topOf(image), BUNDLE, `bundle ${count}`));
    const [open = '', close = ''] = brackets;
    const value = `${open}${path(topOf(image).digest)}?after=1${close}; rel="next"`;
    source.fault({ path: /\/referrers\//, times: 1, action: { type: 'header', name: 'link', value } });
    expect((await copy({ referrers: true })).warnings).toEqual([]);
    for (const { digest } of all) expect(target.manifest(TARGET, digest)).toBeDefined();
  });

  it('with a Link to another page are reported as incomplete', async () => {
    const { source, target, copy } = await pair({ source: { referrersPage: 1 } });
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    const [first] = [1, 2].map((count) => attach(source, topOf(image), BUNDLE, `bundle ${count}`));
    const value = '</v2/other/tags/list?n=1>; rel="next"';
    source.fault({ path: /\/referrers\//, times: 1, action: { type: 'header', name: 'link', value } });
    expect((await copy({ referrers: true })).warnings.join()).toMatch(/referrers/);
    expect(target.manifest(TARGET, first?.digest ?? '')).toBeDefined();
  });

  it('above the limit are copied with signatures first, and the remainder is reported', async () => {
    const { source, target, copy } = await pair({ source: { referrersPage: 50 } });
    const image = buildImage({ platforms: ['linux/amd64'] });
    loadImage(source, SOURCE, image, 'v1');
    for (let count = 0; count < 110; count++) attach(source, topOf(image), SPDX, `sbom ${count}`);
    const signatures = [1, 2, 3].map((count) => attach(source, topOf(image), BUNDLE, `signature ${count}`));
    const result = await copy({ referrers: true });
    for (const { digest } of signatures) expect(target.manifest(TARGET, digest)).toBeDefined();
    expect(result.warnings.join('\n')).toContain(`13 referrers of ${image.digest} are not copied`);
  });
});

describe('a signature that temporarily cannot be read', () => {
  it('delays the tag for two attempts; then the tag is published and the signature is unfinished', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    const bundle = attach(source, topOf(image), BUNDLE);
    source.fault({ method: 'GET', path: bundle.digest, action: { type: 'status', status: 503 } });
    const ledger = new BlobLedger();
    for (const attempt of [1, 2]) {
      await expect(copy({ referrers: true, ledger })).rejects.toMatchObject({
        retryable: true,
        message: expect.stringContaining(
          `the tag is not published before its signatures are copied (attempt ${attempt} of 3)`,
        ) as string,
      });
      expect(target.tags(TARGET)).toEqual([]);
    }
    const third = await copy({ referrers: true, ledger });
    expect(third).toMatchObject({ outcome: 'copied', unfinished: [{ kind: 'signature' }] });
    expect(target.tags(TARGET)).toEqual(['v1']);
    source.clearFaults();
    expect(await copy({ referrers: true, ledger })).toMatchObject({ outcome: 'present', unfinished: [] });
    expect(target.manifest(TARGET, bundle.digest)?.bytes).toEqual(bundle.bytes);
  });

  it('delays the tag for ten minutes at most', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    attach(source, topOf(image), BUNDLE);
    source.fault({ path: '/referrers/', action: { type: 'status', status: 503 } });
    let now = 0;
    const ledger = new BlobLedger(() => now);
    await expect(copy({ referrers: true, ledger })).rejects.toMatchObject({ retryable: true });
    now = 10 * 60_000;
    expect((await copy({ referrers: true, ledger })).outcome).toBe('copied');
    expect(target.tags(TARGET)).toEqual(['v1']);
  });

  it('does not delay it when it is an SBOM, which the next run copies', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    const sbom = attach(source, topOf(image), SPDX);
    source.fault({ method: 'GET', path: sbom.digest, action: { type: 'status', status: 503 } });
    const ledger = new BlobLedger();
    expect(await copy({ referrers: true, ledger })).toMatchObject({
      outcome: 'copied',
      unfinished: [{ kind: 'sbom' }],
    });
    source.clearFaults();
    await copy({ referrers: true, ledger });
    expect(target.manifest(TARGET, sbom.digest)?.bytes).toEqual(sbom.bytes);
  });

  it('is reported as a warning when it can never be read', async () => {
    const { source, target, copy } = await pair();
    const image = buildImage();
    loadImage(source, SOURCE, image, 'v1');
    const bundle = attach(source, topOf(image), BUNDLE);
    source.fault({ method: 'GET', path: bundle.digest, action: { type: 'status', status: 403 } });
    const result = await copy({ referrers: true });
    expect(result).toMatchObject({ outcome: 'copied', unfinished: [] });
    expect(result.warnings.join('\n')).toContain(`referrer ${bundle.digest}`);
    expect(writes(target).at(-1)).toMatch(/manifests\/v1$/);
  });
});
