import { digestOf } from './digests.js';
import { RegistryError } from './errors.js';
import type { BlobLedger } from './ledger.js';
import { MEDIA_TYPES } from './manifest.js';
import type { TargetImage } from './presence.js';
import { fallbackTag, readFallbackTag } from './referrers-list.js';
import type { Descriptor, RequestContext } from './types.js';

/** Adds referrers to the index under the subject's fallback tag in the target; existing entries stay. */
export async function extendFallbackTag(
  { client, reference }: Pick<TargetImage, 'client' | 'reference'>,
  subject: string,
  added: readonly Descriptor[],
  ledger: BlobLedger,
  signal: AbortSignal,
  context: RequestContext,
): Promise<void> {
  const { repository } = reference;
  const tag = fallbackTag(subject);
  const extend = async (): Promise<true> => {
    const { descriptors, isSubject } = await readFallbackTag(client, repository, subject, context);
    const known = new Set(descriptors.map(({ digest }) => digest));
    const missing = added.filter(({ digest }) => !known.has(digest));
    if (missing.length === 0) return true;
    const mediaType = MEDIA_TYPES.ociIndex;
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests: [...descriptors, ...missing] }));
    const digest = digestOf(bytes);
    await client.putManifest(repository, tag, { mediaType, bytes, digest }, context);
    if (isSubject && (await readFallbackTag(client, repository, subject, context)).isSubject) {
      const message = `${repository}: the registry returns the image under the tag ${tag}, so it cannot list its signatures`;
      throw new RegistryError(message, { kind: 'unsupported', host: client.host });
    }
    return true;
  };
  // Two copies that read, add and write in parallel would lose entries of one of them.
  const key = `list ${client.host}/${repository}:${tag}`;
  while ((await ledger.once(key, signal, extend)) === undefined);
}
