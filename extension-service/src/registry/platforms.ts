import { matchPlatform, parsePlatform } from '../core/image/platform.js';
import { attestedDigest, type ParsedManifest, type RawManifest } from './manifest.js';
import { createHash } from 'node:crypto';
import type { Descriptor } from './types.js';

/**
 * The index with only the platforms wanted, their attestations, and entries that name no platform; the index itself when
 * nothing falls away. Undefined when no entry matches. Throws InvalidPlatformError for a text that is no platform.
 */
export function selectPlatforms(
  manifest: RawManifest,
  parsed: Extract<ParsedManifest, { kind: 'index' }>,
  platforms: readonly string[],
): RawManifest | undefined {
  const wanted = platforms.map(parsePlatform);
  const matches = ({ platform }: Descriptor): boolean =>
    platform !== undefined && wanted.some((one) => matchPlatform(one, platform));
  const images = new Set(parsed.children.filter(matches).map((child) => child.digest));
  if (images.size === 0) return undefined;
  const keeps = (child: Descriptor): boolean => {
    const attested = attestedDigest(child);
    return attested === undefined ? child.platform === undefined || images.has(child.digest) : images.has(attested);
  };
  const entries = parsed.json.manifests.filter((_, index) => {
    const child = parsed.children[index];
    return child !== undefined && keeps(child);
  });
  if (entries.length === parsed.children.length) return manifest;
  const bytes = Buffer.from(JSON.stringify({ ...parsed.json, manifests: entries }));
  return { mediaType: manifest.mediaType, bytes, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` };
}
