import type { TargetReference } from '../core/naming/name.js';
import type { ManifestHead, RegistryClient } from './client.js';
import type { RequestContext } from './types.js';

export interface TargetImage {
  readonly client: RegistryClient;
  readonly reference: Pick<TargetReference, 'repository' | 'digest' | 'published'>;
}

/** The state of an image in a target: `published` under its name, `untagged` only by digest. */
export type RootPresence =
  { readonly state: 'published' | 'untagged'; readonly mediaType: string } | { readonly state: 'absent' };

/** Looks for the image's top manifest: first under its name, then by digest. The copy and its plan both ask here. */
export async function findRoot(
  { client, reference }: TargetImage,
  digest: string,
  context: RequestContext,
): Promise<RootPresence> {
  const { repository, published } = reference;
  const named = await client.headManifest(repository, published, context);
  if (named?.digest === digest) return { state: 'published', mediaType: named.mediaType };
  const there: ManifestHead | undefined = await client.headManifest(repository, digest, context);
  if (there === undefined) return { state: 'absent' };
  const isSame = named !== undefined && areSameInSize(named, there) && !isSameAlgorithm(named.digest, digest);
  return { state: isSame ? 'published' : 'untagged', mediaType: there.mediaType };
}

/** A registry computes sha256 of what it gets by tag: with a digest of another algorithm, only the size can be compared. */
function areSameInSize(named: ManifestHead, there: ManifestHead): boolean {
  return named.size !== undefined && named.size === there.size;
}

function isSameAlgorithm(one: string | undefined, other: string): boolean {
  return one === undefined || one.split(':')[0] === other.split(':')[0];
}
