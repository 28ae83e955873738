import type { TargetConfig } from '../config/model.js';
import { isRepository, normalizeRegistry } from '../image/reference.js';
import { quoteInput } from '../image/quote.js';
import type { Separators } from './escape.js';

/** The location of images in a registry, and the names that it accepts. */
export interface RegistryPlace {
  /** `host[:port]`, spelled as in a parsed reference. */
  readonly host: string;
  /** The part before the source's path: '' or `a/b`. */
  readonly path: string;
  /** Other hosts of the same registry. */
  readonly aliases: readonly string[];
  /** Maximum characters of the repository, including `path`, that the registry accepts. */
  readonly repositoryLimit: number;
  readonly separators: Separators;
  /** Whether every repository of the registry counts as being in the target, not only those under `path`. */
  readonly wholeRegistry: boolean;
  /** `path` is incomplete: images can only be under the target's `paths`. */
  readonly needsPaths?: true;
}

/** The settings of a target that naming needs. */
export interface NamingTarget extends RegistryPlace {
  readonly name: string;
  /**
   * The path for each source registry, by its `host[:port]`: the whole path below the target's host, in place of the
   * target's path and the source's host. Other sources cannot be in the target. Absent: every source can.
   */
  readonly paths?: ReadonlyMap<string, string>;
}

/**
 * The keys of the target that determine host and path, such as `aws.region` and `aws.prefix`: problems are reported
 * there.
 */
export interface PlaceKeys {
  readonly host: string;
  readonly path: string;
}

/** Finds the naming of a target's kind. @throws InvalidTargetError */
export type NameTarget = (target: TargetConfig) => NamingTarget;

/** A problem that makes a target unusable for naming, by the target's key: `aws.prefix`. */
export interface TargetProblem {
  readonly key: string;
  /** The entry of the mapping at `key`; it may contain dots. */
  readonly entry?: string;
  readonly message: string;
}

/**
 * The target cannot name any image. The config loader reports the same problems with their lines before this is thrown.
 */
export class InvalidTargetError extends Error {
  readonly problems: readonly TargetProblem[];

  constructor(name: string, problems: readonly TargetProblem[]) {
    super(`target ${name}: ${problems.map((problem) => `${problemKey(problem)}: ${problem.message}`).join('; ')}`);
    this.name = 'InvalidTargetError';
    this.problems = problems;
  }
}

/** The key of a problem in the form of the configuration: `aws.prefix`, `paths.docker.io`. */
export function problemKey({ key, entry }: TargetProblem): string {
  return entry === undefined ? key : `${key}.${entry}`;
}

/** Older kubelets reject longer references (distribution's limit for host and path together). */
export const nameLengthLimit = 255;
/** Minimum room for the source's path: enough for a readable short form. */
export const minSourceLength = 96;
/** A repository with single separators only, as ECR requires. */
const singleSeparators = /^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*\/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$/;

/** Whether the registry accepts the repository. */
export function isLegalRepository(target: RegistryPlace, repository: string): boolean {
  if (repository.length > target.repositoryLimit) return false;
  if (target.separators === 'any') return isRepository(repository);
  return repository.length >= 2 && singleSeparators.test(repository);
}

/** Maximum characters of a repository that the registry and older kubelets accept. */
export function longestRepository({ repositoryLimit, host }: RegistryPlace): number {
  return Math.min(repositoryLimit, nameLengthLimit - host.length - 1);
}

/** Characters left for the source's path, below the target's own. */
export function maxSourceLength(target: RegistryPlace): number {
  const repository = longestRepository(target);
  return target.path === '' ? repository : repository - target.path.length - 1;
}

/** The paths of the target's images below its host, sorted; '' for the whole host. */
export function imagePaths({ path, paths }: NamingTarget): readonly string[] {
  return paths === undefined ? [path] : [...paths.values()].sort();
}

/** Prefixes of the target's image references, each ending with a slash. */
export function imagePrefixes(target: NamingTarget): readonly string[] {
  return imagePaths(target).map((path) => `${target.host}/${path === '' ? '' : `${path}/`}`);
}

/** Why images cannot be named with the location; none if it is valid. */
export function placeProblems(place: RegistryPlace, keys: PlaceKeys): readonly TargetProblem[] {
  const problems: TargetProblem[] = [];
  if (normalizeRegistry(place.host) === undefined) {
    problems.push({
      key: keys.host,
      message: `${quoteInput(place.host)} is not a valid registry: expected host.domain, host:port or localhost`,
    });
  }
  if (place.path !== '' && !isLegalRepository({ ...place, repositoryLimit: Infinity }, place.path)) {
    const separators = place.separators === 'single' ? 'single . _ -' : '. _ __ or -';
    problems.push({
      key: keys.path,
      message: `${quoteInput(place.path)} is not a valid path: lower-case letters and digits, with ${separators} between them, in parts separated by /`,
    });
  }
  const room = maxSourceLength(place);
  if (problems.length === 0 && room < minSourceLength) {
    problems.push({
      key: keys.path,
      message: `host and path leave ${room} characters for the image name, which needs at least ${minSourceLength}: shorten the path by ${minSourceLength - room}`,
    });
  }
  return problems;
}

/** A path without the slashes around it. */
export function withoutSlashes(path: string): string {
  let start = 0;
  let end = path.length;
  while (start < end && path[start] === '/') start++;
  while (end > start && path[end - 1] === '/') end--;
  return path.slice(start, end);
}
