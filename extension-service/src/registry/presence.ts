import type { TargetReference } from '../core/naming/name.js';
import type { ManifestHead } from './client.js';
import type { ImageStore } from './image-store.js';
import type { NewRepositories } from './new-repositories.js';
import type { RequestContext } from './types.js';

export interface TargetImage {
  readonly client: ImageStore;
  readonly reference: Pick<TargetReference, 'repository' | 'digest' | 'published'>;
  /** The caller has just checked the name, and it does not exist. */
  readonly isUnnamed?: boolean;
}

/** The state of an image in a target: `published` under its name, `untagged` only by digest. */
export type RootPresence =
  | { readonly state: 'published'; readonly mediaType: string }
  /** `isNamed`: the name exists, and points to another image. */
  | { readonly state: 'untagged'; readonly isNamed: boolean }
  | { readonly state: 'absent'; readonly isNamed: boolean };

/**
 * Looks for the image's top manifest: first under its name, then by digest. Used by the copy and its plan.
 *
 * @param newRepositories known new repositories; without it, each check is a request to the registry
 */
export async function findRoot(
  { client, reference, isUnnamed }: TargetImage,
  digest: string,
  context: RequestContext,
  newRepositories?: NewRepositories,
): Promise<RootPresence> {
  const { repository, published } = reference;
  const has = (wanted: string): boolean | undefined => newRepositories?.has(client.host, repository, wanted);
  const isAsked = isUnnamed !== true && has(published) !== false;
  const named = isAsked ? await client.headManifest(repository, published, context) : undefined;
  if (named?.digest === digest) return { state: 'published', mediaType: named.mediaType };
  const isNamed = named !== undefined;
  if (!isNamed) await newRepositories?.learn(client, repository, context);
  if (!isNamed && has(digest) !== undefined) return { state: has(digest) === true ? 'untagged' : 'absent', isNamed };
  const there = await client.headManifest(repository, digest, context);
  if (there === undefined) return { state: 'absent', isNamed };
  const isSame = named !== undefined && haveSameSize(named, there) && !isSameAlgorithm(named.digest, digest);
  return isSame ? { state: 'published', mediaType: there.mediaType } : { state: 'untagged', isNamed };
}

/**
 * A registry computes sha256 for content that it receives by tag: with a digest of another algorithm, only the size can
 * be compared.
 */
function haveSameSize(named: ManifestHead, there: ManifestHead): boolean {
  return named.size !== undefined && named.size === there.size;
}

function isSameAlgorithm(one: string | undefined, other: string): boolean {
  return one === undefined || one.split(':')[0] === other.split(':')[0];
}
