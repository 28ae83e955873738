import { describe, expect, it } from 'vitest';
import { mediaTypeOf, parseManifest } from '../../../extension-service/src/registry/manifest.js';
import { selectPlatforms } from '../../../extension-service/src/registry/platforms.js';
import { buildImage, OCI_INDEX, OCI_MANIFEST } from '../../fakes/images.js';

const digest = `sha256:${'a'.repeat(64)}`;
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 };
const bytes = (json: unknown): Buffer => Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
const parse = (json: unknown, mediaType = OCI_MANIFEST): unknown =>
  parseManifest({ mediaType, digest, bytes: bytes(json) });

describe('mediaTypeOf', () => {
  it.each([
    [OCI_INDEX, { mediaType: OCI_INDEX, manifests: [] }, OCI_INDEX],
    [`${OCI_INDEX}; charset=utf-8`, { manifests: [] }, OCI_INDEX],
    ['application/json', { mediaType: OCI_MANIFEST }, OCI_MANIFEST],
    ['text/plain', { manifests: [] }, OCI_INDEX],
    [undefined, { config, layers: [] }, OCI_MANIFEST],
    [undefined, { schemaVersion: 1 }, 'application/vnd.docker.distribution.manifest.v1+json'],
  ])('with the header %s and the body %j it is %s', (header, body, expected) => {
    expect(mediaTypeOf(header, bytes(body))).toBe(expected);
  });

  it.each([
    [OCI_INDEX, { mediaType: OCI_MANIFEST }, /header says .*index.* but the body says .*manifest/],
    [OCI_INDEX, '<html><body>login</body></html>', /HTML page.*login page/],
    [OCI_INDEX, 'nope', /not JSON/],
    [OCI_INDEX, '[]', /not a JSON object/],
  ])('refuses the header %s with the body %j', (header, body, message) => {
    expect(() => mediaTypeOf(header, bytes(body))).toThrow(message);
  });
});

describe('parseManifest', () => {
  it('treats an artifact without a config as its layers', () => {
    const layer = { mediaType: 'application/x-model', digest: config.digest, size: 2 };
    const json = { schemaVersion: 2, artifactType: 'application/x-model', layers: [layer] };
    expect(parse(json, OCI_MANIFEST)).toMatchObject({ kind: 'image', blobs: [layer] });
    expect(mediaTypeOf('application/json', Buffer.from(JSON.stringify(json)))).toBe(OCI_MANIFEST);
  });

  it.each([
    [
      'both kinds in one (CVE-2021-41190)',
      { manifests: [], layers: [], config },
      OCI_MANIFEST,
      /both "manifests" and "layers"/,
    ],
    ['an unknown type', { config }, 'application/vnd.acme', /"application\/vnd.acme" is not an image/],
    ['schema 1', {}, 'application/vnd.docker.distribution.manifest.v1+prettyjws', /schema 1/],
    ['no config', { layers: [] }, OCI_MANIFEST, /descriptor is missing/],
    [
      'a digest that leads elsewhere',
      { config: { ...config, digest: 'sha256:../../x' } },
      OCI_MANIFEST,
      /not a digest/,
    ],
    ['a digest no one can check', { config: { ...config, digest: 'md5:abc' } }, OCI_MANIFEST, /not a digest/],
    ['a negative size', { config: { ...config, size: -1 } }, OCI_MANIFEST, /has no size/],
    ['a size that is text', { config: { ...config, size: '2' } }, OCI_MANIFEST, /has no size/],
    ['layers that are not a list', { config, layers: {} }, OCI_MANIFEST, /"layers" is not a list/],
    ['an index without a list', {}, OCI_INDEX, /no "manifests" list/],
  ])('refuses %s', (_, json, mediaType, message) => {
    expect(() => parse(json, mediaType)).toThrow(message);
  });
});

describe('selectPlatforms', () => {
  const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64', 'linux/arm/v7'], attestations: true });
  const top = image.manifests.at(-1);
  if (top === undefined) throw new Error('no index');
  const parsed = parseManifest(top);
  const select = (platforms: readonly string[]): ReturnType<typeof selectPlatforms> =>
    parsed.kind === 'index' ? selectPlatforms(top, parsed, platforms) : undefined;

  it.each([
    [['linux/amd64'], 2],
    [['linux/arm64/v8', 'linux/arm'], 4],
  ])('keeps %j and their attestations: %i entries', (platforms, count) => {
    const selected = select(platforms);
    const json = JSON.parse(selected?.bytes.toString() ?? '') as { manifests: unknown[]; mediaType: string };
    expect(json.manifests).toHaveLength(count);
    expect(json.mediaType).toBe(OCI_INDEX);
    expect(select(platforms)?.digest).toBe(selected?.digest);
  });

  it('keeps the bytes if nothing is dropped, and returns nothing if nothing matches', () => {
    expect(select(['linux/amd64', 'linux/arm64', 'linux/arm/v7'])).toBe(top);
    expect(select(['windows/amd64'])).toBeUndefined();
  });
});
