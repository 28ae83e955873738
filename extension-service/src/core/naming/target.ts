import type { TargetConfig } from '../config/model.js';
import { isRepository, normalizeRegistry } from '../image/reference.js';
import { quoteInput } from '../image/quote.js';
import { ecrHosts, isEcrHost, publicHost } from './ecr.js';
import type { Separators } from './escape.js';

/** What naming needs to know about a target. */
export interface NamingTarget {
  readonly name: string;
  /** `host[:port]`, spelled as in a parsed reference. */
  readonly host: string;
  /** In front of the source's path: '' or `a/b`. */
  readonly path: string;
  /** Other hosts of the same registry. */
  readonly aliases: readonly string[];
  /** Most characters of the repository, `path` included, that the registry accepts. */
  readonly repositoryLimit: number;
  readonly separators: Separators;
  /** Every repository of the registry counts as being in the target, not only those under `path`. */
  readonly wholeRegistry: boolean;
}

/** What makes a target unusable for naming, by the key under the target's own mapping: `aws.prefix`. */
export interface TargetProblem {
  readonly key: string;
  readonly message: string;
}

/** The target cannot name anything. The config loader reports the same problems with their lines before this is thrown. */
export class InvalidTargetError extends Error {
  readonly problems: readonly TargetProblem[];

  constructor(name: string, problems: readonly TargetProblem[]) {
    super(`target ${name}: ${problems.map(({ key, message }) => `${key}: ${message}`).join('; ')}`);
    this.name = 'InvalidTargetError';
    this.problems = problems;
  }
}

/** Whole references above it are refused by older kubelets (distribution's limit for host and path together). */
export const nameLengthLimit = 255;
/** What must be left for the source's path: enough for a short form that people can still tell apart. */
const leastRoom = 96;
const ecrRepositoryLimit = 256;
const ociRepositoryLimit = 255;
const ecrRepositoryPattern = /^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*\/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$/;

/** Whether the repository is one that the registry accepts. */
export function isLegalRepository(target: NamingTarget, repository: string): boolean {
  if (repository.length > target.repositoryLimit) return false;
  if (target.separators === 'any') return isRepository(repository);
  return repository.length >= 2 && ecrRepositoryPattern.test(repository);
}

/** Characters left for the source's path, below the target's own. */
export function roomForSource(target: NamingTarget): number {
  const repository = Math.min(target.repositoryLimit, nameLengthLimit - target.host.length - 1);
  return target.path === '' ? repository : repository - target.path.length - 1;
}

/**
 * @throws InvalidTargetError when {@link targetProblems} has any.
 */
export function namingTarget(config: TargetConfig): NamingTarget {
  const problems = targetProblems(config);
  if (problems.length > 0) throw new InvalidTargetError(config.name, problems);
  return describe(config);
}

/** Why the target cannot be used for naming; none for a good one. */
export function targetProblems(config: TargetConfig): readonly TargetProblem[] {
  const target = describe(config);
  const keys = configKeys[config.type];
  const problems: TargetProblem[] = [];
  if (normalizeRegistry(target.host) === undefined) {
    problems.push({
      key: keys.host,
      message: `${quoteInput(target.host)} is no registry: host.domain, host:port or localhost is allowed`,
    });
  }
  if (target.path !== '' && !isLegalRepository({ ...target, repositoryLimit: Infinity }, target.path)) {
    const separators = target.separators === 'single' ? 'single . _ -' : '. _ __ or -';
    problems.push({
      key: keys.path,
      message: `${quoteInput(target.path)} is no path: lower-case letters and digits, with ${separators} between them, in parts separated by /`,
    });
  }
  const room = roomForSource(target);
  if (problems.length === 0 && room < leastRoom) {
    problems.push({
      key: keys.path,
      message: `host and path leave ${room} characters for the image's own name; at least ${leastRoom} are needed, so shorten the path by ${leastRoom - room}`,
    });
  }
  return problems;
}

/** Where the user wrote what the problem is about. */
const configKeys = {
  aws: { host: 'aws.region', path: 'aws.prefix' },
  gcp: { host: 'gcp.location', path: 'gcp.repositoryId' },
  oci: { host: 'oci.registry', path: 'oci.prefix' },
} as const;

function describe(config: TargetConfig): NamingTarget {
  switch (config.type) {
    case 'aws': {
      const { accountId, region, endpoint, prefix } = config.aws;
      const hosts = ecrHosts({
        accountId,
        region: region.toLowerCase(),
        ...(endpoint !== undefined && { endpoint }),
      });
      return {
        name: config.name,
        ...(config.aws.public === true ? { host: publicHost, aliases: [] } : hosts),
        path: withoutSlashes(prefix),
        repositoryLimit: ecrRepositoryLimit,
        separators: 'single',
        wholeRegistry: true,
      };
    }
    case 'gcp': {
      const { location, projectId, repositoryId } = config.gcp;
      return {
        name: config.name,
        host: `${location.toLowerCase()}-docker.pkg.dev`,
        // A domain-scoped project, example.com:name, is written with a slash in image names.
        path: `${projectId.replace(':', '/')}/${repositoryId}`,
        aliases: [],
        repositoryLimit: ociRepositoryLimit,
        separators: 'any',
        wholeRegistry: false,
      };
    }
    case 'oci': {
      const { registry, prefix } = config.oci;
      const host = normalizeRegistry(registry) ?? registry;
      const ecr = isEcrHost(host);
      return {
        name: config.name,
        host,
        path: withoutSlashes(prefix),
        aliases: [],
        repositoryLimit: ecr ? ecrRepositoryLimit : ociRepositoryLimit,
        separators: ecr ? 'single' : 'any',
        wholeRegistry: false,
      };
    }
  }
}

function withoutSlashes(path: string): string {
  let start = 0;
  let end = path.length;
  while (start < end && path[start] === '/') start++;
  while (end > start && path[end - 1] === '/') end--;
  return path.slice(start, end);
}
