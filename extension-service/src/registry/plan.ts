import { referenceName } from '../core/image/reference.js';
import { formatPlatform } from '../core/image/platform.js';
import type { CopyOptions } from './copy-types.js';
import { RegistryError } from './errors.js';
import { isForeign, parseManifest } from './manifest.js';
import type { RawManifest } from './manifest.js';
import { findRoot } from './presence.js';
import { selectPlatforms } from './platforms.js';
import type { Descriptor } from './types.js';

/** The work that a copy would do; layers that the target has already are counted all the same, so it may be less. */
export interface CopyPlan {
  /** The target has the image under its name: nothing would be sent. */
  readonly present: boolean;
  /** Digest that the source's reference names. */
  readonly digest: string;
  readonly platforms: readonly string[];
  /** Manifests that would be put, by digest, with their bytes. */
  readonly manifests: ReadonlyMap<string, number>;
  /** Blobs by digest, with their bytes. */
  readonly blobs: ReadonlyMap<string, number>;
}

const MOST_MANIFESTS = 1_000;

/**
 * Reads the manifests of an image and sends nothing. Docker Hub counts each manifest as a pull.
 *
 * @throws RegistryError as a copy would
 */
export async function planCopy(
  options: Pick<CopyOptions, 'source' | 'target' | 'platforms' | 'signal'>,
): Promise<CopyPlan> {
  const { source, target, platforms = 'all', signal } = options;
  const context = { ...(signal !== undefined && { signal }) };
  const { repository, digest } = source.reference;
  const top = await source.client.getManifest(repository, referenceName(source.reference), context);
  const wanted = digest === undefined && platforms !== 'all' ? filtered(options, top, platforms) : top;
  const manifests = new Map<string, number>();
  const blobs = new Map<string, number>();
  const names = new Set<string>();

  const root = await findRoot(target, wanted.digest, context);
  if (root.state === 'published') return { present: true, digest: top.digest, platforms: [], manifests, blobs };
  if (root.state === 'untagged') {
    manifests.set(wanted.digest, wanted.bytes.length);
    return { present: false, digest: top.digest, platforms: [], manifests, blobs };
  }

  const add = async (manifest: RawManifest): Promise<void> => {
    if (manifests.has(manifest.digest)) return;
    if (manifests.size >= MOST_MANIFESTS) throw invalid(options, `has more than ${MOST_MANIFESTS} manifests`);
    manifests.set(manifest.digest, manifest.bytes.length);
    const parsed = parseManifest(manifest);
    if (parsed.kind === 'image') {
      for (const blob of parsed.blobs) if (!isForeign(blob)) blobs.set(blob.digest, blob.size);
      return;
    }
    for (const child of parsed.children) {
      addPlatform(names, child);
      if ((await target.client.headManifest(target.reference.repository, child.digest, context)) !== undefined)
        continue;
      await add(await source.client.getManifest(repository, child.digest, context));
    }
  };
  await add(wanted);
  return { present: false, digest: top.digest, platforms: [...names], manifests, blobs };
}

function filtered(options: Pick<CopyOptions, 'source'>, top: RawManifest, platforms: readonly string[]): RawManifest {
  const parsed = parseManifest(top);
  if (parsed.kind === 'image') return top;
  const selected = selectPlatforms(top, parsed, platforms);
  if (selected === undefined) throw invalid(options, `has none of the platforms ${platforms.join(', ')}`);
  return selected;
}

function addPlatform(names: Set<string>, { platform }: Descriptor): void {
  if (platform !== undefined && platform.os !== 'unknown') names.add(formatPlatform(platform));
}

function invalid({ source }: Pick<CopyOptions, 'source'>, message: string): RegistryError {
  return new RegistryError(`${source.reference.repository} ${message}`, { kind: 'invalid', host: source.client.host });
}
