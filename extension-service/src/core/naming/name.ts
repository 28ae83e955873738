import { formatReference, parseReference, referenceName } from '../image/reference.js';
import type { Reference } from '../image/reference.js';
import { decodeName, encodeName } from './escape.js';
import type { SourceName } from './escape.js';
import { isTargetHost } from './origin.js';
import { sha256 } from './sha256.js';
import { isLegalRepository, longestRepository, maxSourceLength } from './target.js';
import type { NamingTarget } from './target.js';

/** The name of a source's image in a target. */
export interface TargetReference {
  readonly registry: string;
  readonly repository: string;
  /** Absent for digest references, which never move the original tag. */
  readonly tag?: string;
  readonly digest?: string;
  /** The name by which Pods find the image: the digest, or the tag. */
  readonly shownAs: string;
  /**
   * The tag that a copy writes last: the source's tag, or for a digest reference `keep-` and the digest's first 12
   * digits, so that rules such as "expire untagged" do not delete the image. The image is complete in the target only
   * with this tag.
   */
  readonly published: string;
  /** The reference for the Pod: `HOST[/PREFIX]/SOURCE`, by digest if the source has one. */
  readonly text: string;
}

const shortMark = '_short';
const hashLength = 64;

/**
 * Why the source cannot be in the target, as a continuation of the target's name; undefined if it can. Only a target
 * with `paths` rejects sources: a cache requests exactly the given name from its upstream registry, so names under a
 * path are neither escaped nor shortened.
 */
export function refusalOf(target: NamingTarget, source: SourceName): string | undefined {
  if (target.paths === undefined) return undefined;
  const start = target.paths.get(source.registry);
  if (start === undefined) return `has no path for ${source.registry}`;
  const repository = `${start}/${source.repository}`;
  if (repository.length <= longestRepository(target) && isLegalRepository(target, repository)) return undefined;
  return `cannot have a repository ${repository}`;
}

/**
 * `HOST[/PREFIX]/<source, fully normalized>`, or `HOST/PATH/<repository of the source>` in a target with `paths`.
 * Sources that are not valid paths are escaped (see {@link encodeName}), and those that are too long are shortened to
 * `SEGMENT_short/BEGINNING/SHA256`, with as much of the beginning as fits and the hash of the whole source name. The
 * names of two sources are never equal, every name is valid in the target's registry, and the text can be parsed as a
 * reference, even where host and path together are limited to 255 characters.
 *
 * @throws RangeError for a source that {@link refusalOf} rejects
 */
export function targetReference(target: NamingTarget, source: Reference): TargetReference {
  const registry = target.host;
  const repository = targetRepository(target, source);
  const { tag, digest } = source;
  const shownAs = referenceName(source);
  // Literals: with spreads of objects, this function took a sixth of the time of a decision.
  if (digest !== undefined) {
    const hex = digest.slice(digest.indexOf(':') + 1);
    const text = formatReference({ registry, repository, digest });
    return { registry, repository, digest, shownAs, published: `keep-${hex.slice(0, 12)}`, text };
  }
  if (tag === undefined) {
    return { registry, repository, shownAs, published: shownAs, text: formatReference({ registry, repository }) };
  }
  const text = formatReference({ registry, repository, tag });
  return { registry, repository, tag, shownAs, published: shownAs, text };
}

/**
 * The repository in the target, including the target's path; it does not depend on tag and digest.
 *
 * @throws RangeError for a source that {@link refusalOf} rejects
 */
export function targetRepository(target: NamingTarget, source: SourceName): string {
  if (target.paths !== undefined) {
    const refusal = refusalOf(target, source);
    if (refusal !== undefined) throw new RangeError(`target ${target.name} ${refusal}`);
    return `${target.paths.get(source.registry) ?? ''}/${source.repository}`;
  }
  const { segment, repository } = encodeName(source, target.separators);
  const room = maxSourceLength(target);
  const full = `${segment}/${repository}`;
  const path =
    full.length <= room ? full : shorten(segment, repository, room, `${source.registry}/${source.repository}`);
  return target.path === '' ? path : `${target.path}/${path}`;
}

/**
 * The source of a target's reference; `undefined` for shortened names and for names that {@link targetReference} never
 * returns. A keeper tag is returned as it is: only the registry shows that it is not a tag of the source.
 */
export function sourceOf(target: NamingTarget, reference: Reference): Reference | undefined {
  if (!isTargetHost(target, reference.registry)) return undefined;
  const name = target.paths === undefined ? decoded(target, reference) : underPath(target.paths, reference);
  if (name === undefined || !isNormalized(name) || refusalOf(target, name) !== undefined) return undefined;
  if (targetRepository(target, name) !== reference.repository) return undefined;
  const { tag, digest } = reference;
  return { ...name, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

function decoded({ path }: NamingTarget, { repository }: Reference): SourceName | undefined {
  const start = path === '' ? '' : `${path}/`;
  const slash = repository.indexOf('/', start.length);
  if (!repository.startsWith(start) || slash < 0) return undefined;
  return decodeName({ segment: repository.slice(start.length, slash), repository: repository.slice(slash + 1) });
}

function underPath(paths: ReadonlyMap<string, string>, { repository }: Reference): SourceName | undefined {
  for (const [registry, path] of paths) {
    if (repository.startsWith(`${path}/`)) return { registry, repository: repository.slice(path.length + 1) };
  }
  return undefined;
}

/**
 * Whether the reference can be a mirror's in the target: everything below the target's path, including shortened names.
 * A target without a path also has other repositories; there the name must have the form of a mirror's.
 */
export function isMirrorName(target: NamingTarget, reference: Reference): boolean {
  if (!isTargetHost(target, reference.registry)) return false;
  if (target.paths !== undefined) return underPath(target.paths, reference) !== undefined;
  if (target.path !== '') return reference.repository.startsWith(`${target.path}/`);
  return sourceOf(target, reference) !== undefined || SHORTENED_NAME.test(reference.repository);
}

/** Whether {@link shorten} returned this name. */
const SHORTENED_NAME = /^[^/]+_short\/(?:.+\/)?[0-9a-f]{64}$/;

function shorten(segment: string, repository: string, room: number, name: string): string {
  const first = cut(segment, room - shortMark.length - 1 - hashLength) + shortMark;
  const beginning = cut(repository, room - first.length - 2 - hashLength);
  return [first, ...(beginning === '' ? [] : [beginning]), sha256(name)].join('/');
}

/** The text's beginning, without trailing separators. */
function cut(text: string, length: number): string {
  let end = Math.max(0, Math.min(length, text.length));
  while (end > 0 && '._-/'.includes(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

function isNormalized(name: SourceName): boolean {
  try {
    const parsed = parseReference(formatReference(name));
    return parsed.registry === name.registry && parsed.repository === name.repository;
  } catch {
    return false;
  }
}
