import { bytesContent, patternContent, sha256, type Content } from './registry-content.js';
import type { FakeRegistry } from './registry.js';

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json';
export const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip';

export interface ImageOptions {
  /** Platforms as `os/architecture[/variant]`. Each has one manifest. */
  readonly platforms?: readonly string[];
  readonly layersPerPlatform?: number;
  /** Bytes of each layer. */
  readonly layerSize?: number;
  /** Number of layers that are the same for every platform. */
  readonly sharedLayers?: number;
  /** Uses Docker schema 2 media types instead of OCI's. */
  readonly docker?: boolean;
  /** Adds an attestation manifest for each platform, as BuildKit does. */
  readonly attestations?: boolean;
  /** Puts the platforms into an index inside the index. */
  readonly nested?: boolean;
  /** Different seeds make images that share nothing. */
  readonly seed?: number;
}

export interface BuiltManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly digest: string;
  /** Absent for a manifest that is not a platform's image. */
  readonly platform?: string;
}

export interface BuiltImage {
  /** Digest of the index. */
  readonly digest: string;
  /** Manifests with children before their parents. The last one is the index. */
  readonly manifests: readonly BuiltManifest[];
  readonly blobs: readonly Content[];
  /** Digest of each platform's manifest. */
  readonly platforms: ReadonlyMap<string, string>;
  /** Total size of all distinct blobs in bytes. */
  readonly blobBytes: number;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: object;
  readonly annotations?: object;
}

/** Builds a deterministic image. The same options give the same digests on every machine. */
export function buildImage(options: ImageOptions = {}): BuiltImage {
  const { platforms = ['linux/amd64', 'linux/arm64'], layersPerPlatform = 2, layerSize = 1024 } = options;
  const { sharedLayers = 0, docker = false, seed = 1 } = options;
  const types = docker
    ? { index: DOCKER_LIST, manifest: DOCKER_MANIFEST, config: DOCKER_CONFIG, layer: DOCKER_LAYER }
    : { index: OCI_INDEX, manifest: OCI_MANIFEST, config: OCI_CONFIG, layer: OCI_LAYER };
  const manifests: BuiltManifest[] = [];
  const blobs = new Map<string, Content>();
  const children: Descriptor[] = [];
  const byPlatform = new Map<string, string>();
  const keep = (content: Content): Content => {
    blobs.set(content.digest, content);
    return content;
  };

  platforms.forEach((name, p) => {
    const [os = 'linux', architecture = 'amd64', variant] = name.split('/');
    const platform = { architecture, os, ...(variant === undefined ? {} : { variant }) };
    const layers = Array.from({ length: layersPerPlatform }, (_, l) =>
      keep(patternContent(layerSize, seed * 1000 + (l < sharedLayers ? l : 100 * (p + 1) + l))),
    );
    const rootfs = { type: 'layers', diff_ids: layers.map((layer) => layer.digest) };
    const config = keep(json({ ...platform, created: '2026-01-01T00:00:00Z', config: {}, rootfs }).content);
    const manifest = json({
      schemaVersion: 2,
      mediaType: types.manifest,
      config: { mediaType: types.config, digest: config.digest, size: config.size },
      layers: layers.map((layer) => ({ mediaType: types.layer, digest: layer.digest, size: layer.size })),
    });
    manifests.push({ mediaType: types.manifest, bytes: manifest.bytes, digest: manifest.digest, platform: name });
    byPlatform.set(name, manifest.digest);
    children.push({ mediaType: types.manifest, digest: manifest.digest, size: manifest.bytes.length, platform });
  });

  if (options.attestations === true) {
    for (const [name, subject] of byPlatform) {
      const statement = keep(
        json({ _type: 'https://in-toto.io/Statement/v0.1', subject: [{ name, digest: subject }] }).content,
      );
      const config = keep(
        json({
          architecture: 'unknown',
          os: 'unknown',
          config: {},
          rootfs: { type: 'layers', diff_ids: [statement.digest] },
        }).content,
      );
      const layer = { mediaType: 'application/vnd.in-toto+json', digest: statement.digest, size: statement.size };
      const manifest = json({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: { mediaType: OCI_CONFIG, digest: config.digest, size: config.size },
        layers: [{ ...layer, annotations: { 'in-toto.io/predicate-type': 'https://slsa.dev/provenance/v0.2' } }],
      });
      manifests.push({ mediaType: OCI_MANIFEST, bytes: manifest.bytes, digest: manifest.digest });
      children.push({
        mediaType: OCI_MANIFEST,
        digest: manifest.digest,
        size: manifest.bytes.length,
        annotations: { 'vnd.docker.reference.digest': subject, 'vnd.docker.reference.type': 'attestation-manifest' },
        platform: { architecture: 'unknown', os: 'unknown' },
      });
    }
  }

  let top = json({ schemaVersion: 2, mediaType: types.index, manifests: children });
  manifests.push({ mediaType: types.index, bytes: top.bytes, digest: top.digest });
  if (options.nested === true) {
    const inner = { mediaType: types.index, digest: top.digest, size: top.bytes.length };
    top = json({ schemaVersion: 2, mediaType: types.index, manifests: [inner] });
    manifests.push({ mediaType: types.index, bytes: top.bytes, digest: top.digest });
  }
  const all = [...blobs.values()];
  const blobBytes = all.reduce((sum, blob) => sum + blob.size, 0);
  return { digest: top.digest, manifests, blobs: all, platforms: byPlatform, blobBytes };
}

/** Puts an image into a fake registry, as after a push. Returns the digest of the index. */
export function loadImage(registry: FakeRegistry, repository: string, image: BuiltImage, tag?: string): string {
  for (const blob of image.blobs) registry.putBlob(repository, blob);
  for (const manifest of image.manifests)
    registry.putManifest(repository, manifest.digest, manifest.mediaType, manifest.bytes);
  const top = image.manifests.at(-1);
  if (tag !== undefined && top !== undefined) registry.putManifest(repository, tag, top.mediaType, top.bytes);
  return image.digest;
}

/** Builds an artifact that refers to an image by `subject`, such as a signature or an SBOM. */
export function buildReferrer(
  subject: BuiltManifest,
  artifactType: string,
  payload: string,
): { manifest: BuiltManifest; blobs: Content[] } {
  const layer = bytesContent(Buffer.from(payload));
  const empty = bytesContent(Buffer.from('{}'));
  const manifest = json({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: empty.digest, size: empty.size },
    layers: [{ mediaType: artifactType, digest: layer.digest, size: layer.size }],
    subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.bytes.length },
  });
  return {
    manifest: { mediaType: OCI_MANIFEST, bytes: manifest.bytes, digest: manifest.digest },
    blobs: [layer, empty],
  };
}

function json(value: unknown): { readonly bytes: Buffer; readonly digest: string; readonly content: Content } {
  const bytes = Buffer.from(JSON.stringify(value, null, 2));
  return { bytes, digest: sha256(bytes), content: bytesContent(bytes) };
}
