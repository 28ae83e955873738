import type { Descriptor } from './types.js';

export const MEDIA_TYPES = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
} as const;

const INDEXES: ReadonlySet<string> = new Set([MEDIA_TYPES.ociIndex, MEDIA_TYPES.dockerList]);
const MANIFESTS: ReadonlySet<string> = new Set([MEDIA_TYPES.ociManifest, MEDIA_TYPES.dockerManifest]);

/** What we ask for; schema 1 is left out, so registries that still convert do not. */
export const MANIFEST_ACCEPT = [...INDEXES, ...MANIFESTS].join(', ');

export interface RawManifest {
  readonly mediaType: string;
  readonly digest: string;
  /** As the registry sent them: the digest is of these and no others. */
  readonly bytes: Buffer;
}

export type ParsedManifest =
  | { readonly kind: 'index'; readonly children: readonly Descriptor[]; readonly json: IndexJson }
  | { readonly kind: 'image'; readonly blobs: readonly Descriptor[]; readonly config: Descriptor };

export interface IndexJson {
  readonly manifests: readonly unknown[];
  readonly [key: string]: unknown;
}

/** The bytes are no manifest that we copy; the message says why. */
export class InvalidManifestError extends Error {
  override readonly name = 'InvalidManifestError';
}

/**
 * The media type in force: the body's `mediaType` must agree with the header (OCI image-spec, "Verification" of
 * CVE-2021-41190), but a header that is no manifest type (static mirrors send application/json) yields to the body.
 */
export function mediaTypeOf(header: string | undefined, bytes: Buffer): string {
  const stated = (header ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  const json = parseJson(bytes);
  const inside = json['mediaType'];
  if (stated.includes('manifest.v1+json') && stated.includes('docker.distribution')) return stated;
  if (stated.includes('manifest.v1+prettyjws')) return stated;
  const known = INDEXES.has(stated) || MANIFESTS.has(stated);
  if (typeof inside === 'string' && inside !== '') {
    if (known && inside !== stated)
      throw new InvalidManifestError(`the header says ${stated} and the body ${inside.slice(0, 100)}`);
    return inside;
  }
  if (known) return stated;
  if (Array.isArray(json['manifests'])) return MEDIA_TYPES.ociIndex;
  if (json['config'] !== undefined && Array.isArray(json['layers'])) return MEDIA_TYPES.ociManifest;
  if (json['schemaVersion'] === 1) return 'application/vnd.docker.distribution.manifest.v1+json';
  return stated;
}

/** Throws InvalidManifestError for schema 1, unknown types and anything malformed. */
export function parseManifest(manifest: RawManifest): ParsedManifest {
  const { mediaType, bytes } = manifest;
  if (mediaType.includes('docker.distribution.manifest.v1')) {
    const text =
      'Docker schema 1, which registries and runtimes have dropped: rebuild the image, or push it with a current tool';
    throw new InvalidManifestError(`the manifest is ${text}`);
  }
  const json = parseJson(bytes);
  // A document that is both would mean one thing to us and another to a runtime.
  if (json['manifests'] !== undefined && json['layers'] !== undefined) {
    throw new InvalidManifestError('the manifest has both "manifests" and "layers"');
  }
  if (INDEXES.has(mediaType)) {
    const list = json['manifests'];
    if (!Array.isArray(list)) throw new InvalidManifestError('the index has no list "manifests"');
    return { kind: 'index', children: list.map(parseDescriptor), json: { ...json, manifests: list } };
  }
  if (!MANIFESTS.has(mediaType)) {
    throw new InvalidManifestError(`media type "${mediaType.slice(0, 100)}" is not an image manifest or index`);
  }
  const layers = json['layers'] ?? [];
  if (!Array.isArray(layers)) throw new InvalidManifestError('"layers" is not a list');
  const config = parseDescriptor(json['config']);
  return { kind: 'image', config, blobs: [config, ...layers.map(parseDescriptor)] };
}

const DIGEST = /^(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$/;

function parseDescriptor(value: unknown): Descriptor {
  if (typeof value !== 'object' || value === null) throw new InvalidManifestError('a descriptor is missing');
  const { mediaType, digest, size } = value as Partial<Record<keyof Descriptor, unknown>>;
  if (typeof digest !== 'string' || !DIGEST.test(digest)) {
    throw new InvalidManifestError(`${JSON.stringify(digest)?.slice(0, 120)} is not a digest that we can check`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new InvalidManifestError(`${digest} has no size`);
  }
  return { ...(value as Descriptor), mediaType: typeof mediaType === 'string' ? mediaType : '', digest, size };
}

/** Whether registries keep this layer elsewhere; containerd and docker skip such layers on push. */
export function isForeign(descriptor: Descriptor): boolean {
  const named = /(nondistributable|rootfs\.foreign)/.test(descriptor.mediaType);
  return named && (descriptor.urls?.length ?? 0) > 0;
}

/** BuildKit attaches provenance and SBOMs as manifests that say whose they are. */
export function attestedDigest(descriptor: Descriptor): string | undefined {
  const { annotations } = descriptor;
  if (annotations?.['vnd.docker.reference.type'] !== 'attestation-manifest') return undefined;
  return annotations['vnd.docker.reference.digest'];
}

function parseJson(bytes: Buffer): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch {
    const html = /^\s*</.test(bytes.subarray(0, 200).toString('utf8'));
    throw new InvalidManifestError(
      html
        ? 'the answer is an HTML page, not a manifest: is there a proxy or login page in between?'
        : 'the manifest is not JSON',
    );
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new InvalidManifestError('the manifest is not a JSON object');
  }
  return json as Record<string, unknown>;
}
