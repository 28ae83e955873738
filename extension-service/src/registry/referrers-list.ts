import { CopyLimitError, type CopyBudget } from './copy-budget.js';
import { algorithmOf, digestOf } from './digests.js';
import type { ImageStore } from './image-store.js';
import { RegistryError } from './errors.js';
import { isIndexType, parseManifest, InvalidManifestError, type RawManifest } from './manifest.js';
import type { Descriptor, RequestContext } from './types.js';

/** Maximum pages of one list of referrers; olareg fills a page with 4 MiB. */
const MAX_PAGES = 20;
/** Maximum entries of one list; more is abuse. */
const MAX_ENTRIES = 4_096;

export interface ReferrersList {
  /** Whether the registry has the referrers API, or the list is an index under the tag `sha256-<hex>`. */
  readonly via: 'api' | 'tag';
  readonly descriptors: readonly Descriptor[];
  /** The list continues beyond the limits. */
  readonly cut: boolean;
  /** The failure of the API, unless registries without the API answer in the same way. */
  readonly refusal?: RegistryError;
}

/**
 * Lists the referrers of a digest (OCI distribution-spec 1.1, "Listing Referrers"). Any answer that is not an index,
 * with any status, means that clients maintain the list under the fallback tag; GHCR answers with a redirect to an HTML
 * page, others with 400, 403, 404, 405 or 501. Only temporary failures are thrown.
 *
 * @throws RegistryError
 */
export async function listReferrers(
  client: ImageStore,
  repository: string,
  digest: string,
  budget: CopyBudget,
  context: RequestContext,
): Promise<ReferrersList> {
  const descriptors: Descriptor[] = [];
  let query = '';
  for (let page = 0; ; page++) {
    const answer = await client.getReferrers(repository, digest, query, context);
    if (answer.kind === 'none') {
      if (page === 0) return listByTag(client, repository, digest, budget, context, answer.refusal);
      return { via: 'api', descriptors, cut: true };
    }
    budget.takeList(answer.bytes);
    descriptors.push(...answer.descriptors);
    if (answer.next === undefined) return { via: 'api', descriptors: unique(descriptors), cut: false };
    if (page + 1 >= MAX_PAGES || descriptors.length >= MAX_ENTRIES || answer.next === '' || answer.next === query) {
      return { via: 'api', descriptors: unique(descriptors), cut: true };
    }
    query = answer.next;
  }
}

/** Distribution-spec 1.1, "Referrers Tag Schema": `sha256:<hex>` becomes the tag `sha256-<hex>`, at most 64 of the hex. */
export function fallbackTag(digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':');
  return `${algorithm}-${hex.slice(0, 64)}`;
}

/**
 * The entries of the index under the fallback tag; none for an image there, which cosign 3's `copy` leaves behind.
 * `isSubject`: the subject itself is there, whose entries are its platforms. GitLab resolves each such tag to the digest
 * (oras-project/oras-go#1396).
 */
export async function readFallbackTag(
  client: ImageStore,
  repository: string,
  digest: string,
  context: RequestContext,
): Promise<{ readonly descriptors: readonly Descriptor[]; readonly bytes: number; readonly isSubject: boolean }> {
  let manifest: RawManifest;
  try {
    manifest = await client.getManifest(repository, fallbackTag(digest), context);
  } catch (error) {
    if (error instanceof RegistryError && error.kind === 'absent')
      return { descriptors: [], bytes: 0, isSubject: false };
    throw error;
  }
  const isSubject = digestOf(manifest.bytes, algorithmOf(digest)) === digest;
  return { descriptors: isSubject ? [] : entriesOf(manifest), bytes: manifest.bytes.length, isSubject };
}

function entriesOf(manifest: RawManifest): readonly Descriptor[] {
  if (!isIndexType(manifest.mediaType)) return [];
  try {
    const parsed = parseManifest(manifest);
    return parsed.kind === 'index' ? parsed.children : [];
  } catch (error) {
    if (error instanceof InvalidManifestError) return [];
    throw error;
  }
}

async function listByTag(
  client: ImageStore,
  repository: string,
  digest: string,
  budget: CopyBudget,
  context: RequestContext,
  refusal: RegistryError | undefined,
): Promise<ReferrersList> {
  const { descriptors, bytes } = await readFallbackTag(client, repository, digest, context);
  budget.takeList(bytes);
  if (descriptors.length > MAX_ENTRIES) throw new CopyLimitError(`more than ${MAX_ENTRIES} referrers of ${digest}`);
  return { via: 'tag', descriptors: unique(descriptors), cut: false, ...(refusal !== undefined && { refusal }) };
}

function unique(descriptors: readonly Descriptor[]): readonly Descriptor[] {
  return [...new Map(descriptors.map((descriptor) => [descriptor.digest, descriptor])).values()];
}
