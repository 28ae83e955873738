import type { Platform } from '../core/image/platform.js';
import { isDigest } from '../core/image/reference.js';
import { quoteInput } from '../core/image/quote.js';
import { JsonBoundsError, parseBoundedJson } from '../core/json-bounds.js';
import { digestFault } from './digests.js';
import type { Descriptor } from './types.js';
import { isRecord } from '../util/is-record.js';

/** OCI distribution-spec, "Pushing Manifests": registries must accept 4 MiB; larger ones do not occur. */
export const MANIFEST_LIMIT = 4 * 1024 * 1024;

export const MEDIA_TYPES = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  /** Of release candidates of image-spec 1.1: signatures and SBOMs of notation and ORAS from that time (2022-2023). */
  artifactManifest: 'application/vnd.oci.artifact.manifest.v1+json',
} as const;

const INDEXES: ReadonlySet<string> = new Set([MEDIA_TYPES.ociIndex, MEDIA_TYPES.dockerList]);
const MANIFESTS: ReadonlySet<string> = new Set([
  MEDIA_TYPES.ociManifest,
  MEDIA_TYPES.dockerManifest,
  MEDIA_TYPES.artifactManifest,
]);

/** The requested media types, without schema 1, so that registries do not convert to it. */
export const MANIFEST_ACCEPT = [...INDEXES, ...MANIFESTS].join(', ');

export interface RawManifest {
  readonly mediaType: string;
  readonly digest: string;
  /** The bytes that the registry sent: the digest is of exactly these. */
  readonly bytes: Buffer;
}

/** A manifest's own data as a referrer: the digest that it refers to, and the data for a list of referrers. */
interface ReferringManifest {
  readonly subject?: string;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export type ParsedManifest = ReferringManifest &
  (
    | { readonly kind: 'index'; readonly children: readonly Descriptor[]; readonly json: IndexJson }
    | { readonly kind: 'image'; readonly blobs: readonly Descriptor[]; readonly config?: Descriptor }
  );

export interface IndexJson {
  readonly manifests: readonly unknown[];
  readonly [key: string]: unknown;
}

/** The bytes are not a manifest that we can copy; the message says why. */
export class InvalidManifestError extends Error {
  override readonly name = 'InvalidManifestError';
}

/** RFC 6838, section 4.2: names have at most 127 characters. */
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/i;

/** The media type of a Content-Type header, without its parameters; empty if there is none, or it is invalid. */
export function mediaTypeIn(header: string | undefined): string {
  const text = (header ?? '').split(';')[0]?.trim() ?? '';
  return MEDIA_TYPE.test(text) ? text : '';
}

/** The result of `mediaTypeOf`, until `parseManifest` uses it. */
const parsed = new WeakMap<Buffer, Record<string, unknown>>();

/**
 * The effective media type: the body's `mediaType` must agree with the header (OCI image-spec, "Verification" of
 * CVE-2021-41190), but a header that is not a manifest type (static mirrors send application/json) yields to the body.
 */
export function mediaTypeOf(header: string | undefined, bytes: Buffer): string {
  const stated = mediaTypeIn(header).toLowerCase();
  const json = parseJson(bytes);
  rejectLongLists(json);
  parsed.set(bytes, json);
  const inside = json['mediaType'];
  if (stated.includes('manifest.v1+json') && stated.includes('docker.distribution')) return stated;
  if (stated.includes('manifest.v1+prettyjws')) return stated;
  const known = INDEXES.has(stated) || MANIFESTS.has(stated);
  if (typeof inside === 'string' && inside !== '') {
    if (known && inside !== stated)
      throw new InvalidManifestError(`the header says ${stated}, but the body says ${quoteInput(inside)}`);
    if (!MEDIA_TYPE.test(inside))
      throw new InvalidManifestError(`the body's mediaType ${quoteInput(inside)} is not a media type`);
    return inside;
  }
  if (known) return stated;
  if (Array.isArray(json['manifests'])) return MEDIA_TYPES.ociIndex;
  if ((json['config'] !== undefined || json['artifactType'] !== undefined) && Array.isArray(json['layers']))
    return MEDIA_TYPES.ociManifest;
  if (json['schemaVersion'] === 1) return 'application/vnd.docker.distribution.manifest.v1+json';
  return stated;
}

/** Throws InvalidManifestError for schema 1, unknown types and anything malformed. */
export function parseManifest(manifest: RawManifest): ParsedManifest {
  const { mediaType, bytes } = manifest;
  if (mediaType.includes('docker.distribution.manifest.v1')) {
    const text =
      'Docker schema 1, which registries and runtimes no longer support: rebuild the image, or push it with a current tool';
    throw new InvalidManifestError(`the manifest is ${text}`);
  }
  const json = parsed.get(bytes) ?? parseJson(bytes);
  parsed.delete(bytes);
  rejectLongLists(json);
  // A document that is both would have different meanings for us and for a runtime.
  if (json['manifests'] !== undefined && json['layers'] !== undefined) {
    throw new InvalidManifestError('the manifest has both "manifests" and "layers"');
  }
  if (INDEXES.has(mediaType)) {
    // A nil list of Go is null.
    const list = json['manifests'] === null ? [] : json['manifests'];
    if (!Array.isArray(list)) throw new InvalidManifestError('the index has no "manifests" list');
    return {
      ...referring(json),
      kind: 'index',
      children: list.map(parseDescriptor),
      json: { ...json, manifests: list },
    };
  }
  if (!MANIFESTS.has(mediaType)) {
    throw new InvalidManifestError(`media type ${quoteInput(mediaType)} is not an image manifest or index`);
  }
  const list = mediaType === MEDIA_TYPES.artifactManifest ? 'blobs' : 'layers';
  const layers = json[list] ?? [];
  if (!Array.isArray(layers)) throw new InvalidManifestError(`"${list}" is not a list`);
  const blobs = layers.map(parseDescriptor);
  // An artifact needs no layers of its own (OCI image-spec: an image must have one), and some tools even omit the
  // empty one.
  if (list === 'blobs' || (json['config'] == null && typeof json['artifactType'] === 'string')) {
    return { ...referring(json), kind: 'image', blobs };
  }
  const config = parseDescriptor(json['config']);
  return { ...referring(json, config), kind: 'image', config, blobs: [config, ...blobs] };
}

/** Maximum entries of one manifest; images of models have thousands of layers. */
const MAX_DESCRIPTORS = 4_096;

/** Checks the length before the entries become descriptors: 4 MiB can hold 40,000 of them. */
function rejectLongLists({ layers, blobs, manifests }: Record<string, unknown>): void {
  const count = Math.max(
    Array.isArray(layers) ? layers.length + 1 : 0,
    Array.isArray(blobs) ? blobs.length : 0,
    Array.isArray(manifests) ? manifests.length : 0,
  );
  if (count <= MAX_DESCRIPTORS) return;
  throw new InvalidManifestError(`the manifest has ${count} descriptors; the maximum is ${MAX_DESCRIPTORS}`);
}

/** OCI distribution-spec 1.1, "Listing Referrers": without an artifactType, the config's media type stands for it. */
function referring(json: Record<string, unknown>, config?: Descriptor): ReferringManifest {
  const { subject, artifactType, annotations } = json;
  // A platform without values counts as none: runtimes ignore it.
  const [named] = descriptorsIn({ manifests: [subject] });
  if (named === undefined) return {};
  const { digest } = named;
  const type = typeof artifactType === 'string' && artifactType !== '' ? artifactType : config?.mediaType;
  const texts = isRecord(annotations) ? textsOf(annotations) : undefined;
  return {
    subject: digest,
    ...(type !== undefined && { artifactType: type }),
    ...(texts !== undefined && { annotations: texts }),
  };
}

/** Whether it is the type of an image manifest or an index, of schema 1 too. */
export function isManifestType(mediaType: string): boolean {
  return INDEXES.has(mediaType) || MANIFESTS.has(mediaType) || mediaType.includes('docker.distribution.manifest.v1');
}

export function isIndexType(mediaType: string): boolean {
  return INDEXES.has(mediaType);
}

/**
 * Whether an entry of an index is a blob, as in BuildKit's registry cache. An entry with a platform is a manifest, whatever
 * media type the index gives it.
 */
export function isBlobEntry({ mediaType, platform }: Descriptor): boolean {
  return platform === undefined && mediaType !== '' && !/manifest|index/i.test(mediaType);
}

/** The entries of an index or of a list of referrers, without those that cannot be fetched and verified. */
export function descriptorsIn(json: unknown): readonly Descriptor[] {
  const list = (json as { readonly manifests?: unknown } | null)?.manifests;
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry: unknown) => {
    try {
      return [parseDescriptor(entry)];
    } catch (error) {
      if (error instanceof InvalidManifestError) return [];
      throw error;
    }
  });
}

/** One descriptor as a registry sent it. Throws InvalidManifestError for manifests that cannot be fetched and verified. */
export function parseDescriptor(value: unknown): Descriptor {
  if (!isRecord(value)) throw new InvalidManifestError('a descriptor is missing');
  const { mediaType, digest, size, platform, urls, annotations, ...rest } = value;
  if (typeof digest !== 'string') throw new InvalidManifestError('a descriptor has no digest');
  if (!isDigest(digest)) throw new InvalidManifestError(`a descriptor's digest ${digestFault(digest)}`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new InvalidManifestError(`${digest} has no size`);
  }
  const known = parsePlatform(platform);
  return {
    ...rest,
    mediaType: typeof mediaType === 'string' ? mediaType : '',
    digest,
    size,
    ...(known !== undefined && { platform: known }),
    ...(Array.isArray(urls) && { urls: urls.filter((url) => typeof url === 'string') }),
    ...(isRecord(annotations) && { annotations: textsOf(annotations) }),
  };
}

/** Characters of a platform, which becomes part of results and logs. */
const PLATFORM_WORD = /^[\w.+-]{0,64}$/;

/**
 * Undefined for a platform without os and architecture, such as `null`, `{}`, or texts with other characters: runtimes
 * do not select such an entry, so it is not a reason to reject the image.
 */
function parsePlatform(value: unknown): Platform | undefined {
  if (!isRecord(value)) return undefined;
  const { os, architecture, variant, 'os.version': version, 'os.features': features, ...rest } = value;
  if (!isWord(os) || !isWord(architecture) || (os === '' && architecture === '')) return undefined;
  return {
    ...rest,
    os,
    architecture,
    ...(isWord(variant) && { variant }),
    ...(isWord(version) && { 'os.version': version }),
    ...(Array.isArray(features) && { 'os.features': features.filter((feature) => typeof feature === 'string') }),
  };
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && PLATFORM_WORD.test(value);
}

function textsOf(annotations: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(annotations).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** Whether registries do not store this layer; containerd and docker skip such layers on push. */
export function isForeign(descriptor: Descriptor): boolean {
  const named = /(nondistributable|rootfs\.foreign)/.test(descriptor.mediaType);
  return named && (descriptor.urls?.length ?? 0) > 0;
}

/** BuildKit attaches provenance and SBOMs as manifests that name their image. */
export function attestedDigest(descriptor: Descriptor): string | undefined {
  const { annotations } = descriptor;
  if (annotations?.['vnd.docker.reference.type'] !== 'attestation-manifest') return undefined;
  return annotations['vnd.docker.reference.digest'];
}

function parseJson(bytes: Buffer): Record<string, unknown> {
  let json: unknown;
  try {
    json = parseBoundedJson(bytes.toString('utf8'), bytes.length);
  } catch (error) {
    if (error instanceof JsonBoundsError) throw new InvalidManifestError(error.message);
    const html = /^\s*</.test(bytes.subarray(0, 200).toString('utf8'));
    throw new InvalidManifestError(
      html
        ? 'the answer is an HTML page, not a manifest: is there a proxy or login page in between?'
        : 'the manifest is not JSON',
    );
  }
  if (!isRecord(json)) throw new InvalidManifestError('the manifest is not a JSON object');
  return json;
}
