import { isTag } from '../core/image/reference.js';
import { parseBoundedJson } from '../core/json-bounds.js';
import type { RegistryError } from './errors.js';
import { nextLink } from './link-header.js';
import { descriptorsIn, MANIFEST_LIMIT } from './manifest.js';
import { invalid, type RequestInfo } from './transport/answers.js';
import type { Descriptor } from './types.js';
import { isRecord } from '../util/is-record.js';

export type ReferrersPage =
  | {
      readonly kind: 'page';
      readonly descriptors: readonly Descriptor[];
      /** Size of the answer. */
      readonly bytes: number;
      /** The query of the next page, with its `?`. */
      readonly next?: string;
    }
  /** The registry does not have the API. `refusal` is its answer if that was an unusual one. */
  | { readonly kind: 'none'; readonly refusal?: RegistryError };

/** The tags of an answer of `tags/list`, without invalid ones. @throws RegistryError `invalid` */
export function tagsIn(bytes: Buffer, asked: RequestInfo): readonly string[] {
  let json: unknown;
  try {
    json = parseBoundedJson(bytes.toString('utf8'), MANIFEST_LIMIT);
  } catch {
    throw invalid(asked, 'answered something else than a list of tags');
  }
  const { tags } = (json ?? {}) as { readonly tags?: unknown };
  // distribution answers null for a repository whose tags are all deleted.
  if (tags === null) return [];
  const isList = Array.isArray(tags) && tags.every((tag) => typeof tag === 'string');
  if (!isList) throw invalid(asked, 'answered something else than a list of tags');
  return tags.filter(isTag);
}

/** A page of the referrers API; `none` for an answer that is not an index. `link` is the header of that name. */
export function referrersPage(bytes: Buffer, link: string | undefined, url: URL): ReferrersPage {
  let json: unknown;
  try {
    json = parseBoundedJson(bytes.toString('utf8'), MANIFEST_LIMIT);
  } catch {
    return { kind: 'none' };
  }
  const manifests = isRecord(json) ? json['manifests'] : undefined;
  // A nil list of Go is null.
  if (manifests !== null && !Array.isArray(manifests)) return { kind: 'none' };
  const named = nextLink(link);
  return {
    kind: 'page',
    descriptors: descriptorsIn(json),
    bytes: bytes.length,
    ...(named !== undefined && { next: nextQuery(named, url) }),
  };
}

/**
 * Only the query of the next page's address is used, so no registry can redirect us. Registries behind a proxy return
 * another path before `/referrers/`, and some encode the colon of the digest as %3A. '' for other links.
 */
export function nextQuery(link: string, url: URL): string {
  const listOf = ({ pathname }: URL): string => decodeURIComponent(pathname).split('/').slice(-2).join('/');
  try {
    const next = new URL(link, url);
    return listOf(next) === listOf(url) ? next.search : '';
  } catch {
    return '';
  }
}
