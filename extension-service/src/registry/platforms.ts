import { digestOf } from './digests.js';
import { formatPlatform, matchPlatform, parsePlatform } from '../core/image/platform.js';
import { attestedDigest, type ParsedManifest, type RawManifest } from './manifest.js';
import type { Descriptor } from './types.js';

type ParsedIndex = Extract<ParsedManifest, { kind: 'index' }>;

/**
 * The index with only the wanted platforms, their attestations, and entries without a platform, including nested
 * indexes: their content is unknown here, and `platform` is optional (OCI image-spec, "image-index"). Returns the index
 * itself if nothing is dropped, and undefined if nothing would be left. Throws InvalidPlatformError for a text that is
 * not a platform.
 */
export function selectPlatforms(
  manifest: RawManifest,
  parsed: ParsedIndex,
  platforms: readonly string[],
): RawManifest | undefined {
  const wanted = platforms.map(parsePlatform);
  const matches = ({ platform }: Descriptor): boolean =>
    platform !== undefined && wanted.some((one) => matchPlatform(one, platform));
  const images = new Set(parsed.children.filter(matches).map((child) => child.digest));
  const keeps = (child: Descriptor): boolean => {
    const attested = attestedDigest(child);
    return attested === undefined ? child.platform === undefined || images.has(child.digest) : images.has(attested);
  };
  const entries = parsed.json.manifests.filter((_, index) => {
    const child = parsed.children[index];
    return child !== undefined && keeps(child);
  });
  if (parsed.children.length > 0 && entries.length === 0) return undefined;
  return entries.length === parsed.children.length ? manifest : withEntries(manifest, parsed, entries);
}

/** The platforms in an index, without attestations; none for an image, which contains its own in its configuration. */
export function namedPlatforms(parsed: ParsedManifest): readonly string[] {
  if (parsed.kind === 'image') return [];
  const named = parsed.children.flatMap(({ platform }) =>
    platform === undefined || platform.os === 'unknown' ? [] : [formatPlatform(platform)],
  );
  return [...new Set(named)];
}

/** The index without the entries of these digests. */
export function withoutEntries(manifest: RawManifest, parsed: ParsedIndex, digests: ReadonlySet<string>): RawManifest {
  const entries = parsed.json.manifests.filter((_, index) => !digests.has(parsed.children[index]?.digest ?? ''));
  return withEntries(manifest, parsed, entries);
}

function withEntries(manifest: RawManifest, { json }: ParsedIndex, entries: readonly unknown[]): RawManifest {
  const bytes = Buffer.from(JSON.stringify({ ...json, manifests: entries }));
  return { mediaType: manifest.mediaType, bytes, digest: digestOf(bytes) };
}
