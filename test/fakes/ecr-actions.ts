import { AwsError, invalidParameter } from './aws-error.js';
import type { EcrImages, EcrRegistrySettings } from './ecr-images.js';
import type { EcrRepositories, EcrRepository } from './ecr-repositories.js';
import {
  checkEncryption,
  checkLifecyclePolicy,
  checkMutability,
  checkRepositoryName,
  checkRepositoryPolicy,
  checkScanning,
  checkTags,
  rejectUnknown,
  type Mutability,
  type Parameters,
} from './ecr-rules.js';

export interface EcrContext {
  readonly account: string;
  readonly region: string;
  readonly parameters: Parameters;
  readonly repositories: EcrRepositories;
  readonly settings: ReadonlyMap<string, string>;
  readonly images: EcrImages;
  readonly registry: EcrRegistrySettings;
}

const ONE = ['registryId', 'repositoryName'] as const;
const MUTABILITY = ['imageTagMutability', 'imageTagMutabilityExclusionFilters'] as const;

/**
 * The control plane's actions on repositories, by name: each one checks its parameters and returns the JSON of the
 * response.
 */
export const ECR_ACTIONS: Readonly<Record<string, (context: EcrContext) => object>> = {
  CreateRepository({ account, region, parameters, repositories }) {
    const more = ['tags', 'imageScanningConfiguration', 'encryptionConfiguration'];
    rejectUnknown(parameters, ...ONE, ...MUTABILITY, ...more);
    const repository = repositories.create(account, region, checkRepositoryName(parameters['repositoryName']), {
      ...checkMutability(parameters),
      imageScanningConfiguration: checkScanning(parameters['imageScanningConfiguration']),
      encryptionConfiguration: checkEncryption(parameters['encryptionConfiguration']),
      tags: checkTags(parameters['tags']),
    });
    return { repository: shown(repository) };
  },

  DescribeRepositories({ account, region, parameters, repositories }) {
    rejectUnknown(parameters, 'registryId', 'repositoryNames', 'nextToken', 'maxResults');
    const { repositoryNames: names, nextToken, maxResults } = parameters;
    if (names !== undefined) {
      if (nextToken !== undefined || maxResults !== undefined) throw invalidParameter('maxResults', 'not with names');
      if (!Array.isArray(names) || names.length < 1 || names.length > 100) {
        throw invalidParameter('repositoryNames', 'Member must have length between 1 and 100');
      }
      return { repositories: names.map((name: unknown) => shown(repositories.get(account, region, name))) };
    }
    const size = maxResults === undefined ? 100 : Number(maxResults);
    if (!(size >= 1 && size <= 1000)) throw invalidParameter('maxResults', 'must be 1 to 1000');
    const from = nextToken === undefined ? 0 : Number(nextToken);
    if (!Number.isInteger(from)) throw invalidParameter('nextToken', 'must be one that was given out');
    const all = repositories.list(account, region);
    const next = from + size < all.length ? { nextToken: String(from + size) } : {};
    return { repositories: all.slice(from, from + size).map(shown), ...next };
  },

  DeleteRepository({ account, region, parameters, repositories }) {
    rejectUnknown(parameters, ...ONE, 'force');
    const repository = repositories.get(account, region, parameters['repositoryName']);
    repositories.delete(repository);
    return { repository: shown(repository) };
  },

  ListTagsForResource({ parameters, repositories }) {
    rejectUnknown(parameters, 'resourceArn');
    return { tags: repositories.byArn(parameters['resourceArn']).tags };
  },

  TagResource({ parameters, repositories }) {
    rejectUnknown(parameters, 'resourceArn', 'tags');
    const repository = repositories.byArn(parameters['resourceArn']);
    const added = checkTags(parameters['tags'] ?? null, repository.tags);
    const kept = repository.tags.filter(({ Key }) => !added.some((tag) => tag.Key === Key));
    repositories.change(repository, { tags: [...kept, ...added] });
    return {};
  },

  SetRepositoryPolicy({ account, region, parameters, repositories }) {
    rejectUnknown(parameters, ...ONE, 'policyText', 'force');
    const repository = repositories.get(account, region, parameters['repositoryName']);
    const policyText = checkRepositoryPolicy(parameters['policyText']);
    repositories.change(repository, { policyText });
    return { ...named(repository), policyText };
  },

  GetRepositoryPolicy({ account, region, parameters, repositories }) {
    rejectUnknown(parameters, ...ONE);
    const repository = repositories.get(account, region, parameters['repositoryName']);
    const { policyText } = repository;
    if (policyText === undefined) throw noPolicy('RepositoryPolicyNotFoundException', 'Repository', repository);
    return { ...named(repository), policyText };
  },

  PutLifecyclePolicy({ account, region, parameters, repositories }) {
    rejectUnknown(parameters, ...ONE, 'lifecyclePolicyText');
    const repository = repositories.get(account, region, parameters['repositoryName']);
    const lifecyclePolicyText = checkLifecyclePolicy(parameters['lifecyclePolicyText']);
    repositories.change(repository, { lifecyclePolicyText });
    return { ...named(repository), lifecyclePolicyText };
  },

  GetLifecyclePolicy({ account, region, parameters, repositories }) {
    rejectUnknown(parameters, ...ONE);
    const repository = repositories.get(account, region, parameters['repositoryName']);
    const { lifecyclePolicyText } = repository;
    if (lifecyclePolicyText === undefined) throw noPolicy('LifecyclePolicyNotFoundException', 'Lifecycle', repository);
    return { ...named(repository), lifecyclePolicyText, lastEvaluatedAt: 0 };
  },

  PutImageTagMutability({ account, region, parameters, repositories }) {
    rejectUnknown(parameters, ...ONE, ...MUTABILITY);
    const repository = repositories.get(account, region, parameters['repositoryName']);
    if (parameters['imageTagMutability'] === undefined)
      throw invalidParameter('imageTagMutability', 'must not be null');
    const mutability = checkMutability(parameters);
    return { ...named(repository), ...shownMutability(repositories.change(repository, mutability)) };
  },

  PutImageScanningConfiguration({ account, region, parameters, repositories }) {
    rejectUnknown(parameters, ...ONE, 'imageScanningConfiguration');
    const repository = repositories.get(account, region, parameters['repositoryName']);
    const imageScanningConfiguration = checkScanning(parameters['imageScanningConfiguration']);
    repositories.change(repository, { imageScanningConfiguration });
    return { ...named(repository), imageScanningConfiguration };
  },

  GetAccountSetting({ parameters, settings }) {
    rejectUnknown(parameters, 'name');
    const name = String(parameters['name']);
    const value = settings.get(name);
    if (value === undefined) throw invalidParameter('name', 'must be the name of an account setting');
    return { name, value };
  },
};

/** Returns the repository of a call, or the first of several. */
export function nameOf(parameters: Parameters): string | undefined {
  const { repositoryName: name, repositoryNames: names, resourceArn } = parameters;
  if (typeof name === 'string') return name;
  if (Array.isArray(names) && typeof names[0] === 'string') return names[0];
  return typeof resourceArn === 'string' ? /:repository\/(.+)$/.exec(resourceArn)?.[1] : undefined;
}

function named({ registryId, repositoryName }: EcrRepository): object {
  return { registryId, repositoryName };
}

/** Returns a repository in the form of DescribeRepositories. */
function shown(repository: EcrRepository): object {
  const { repositoryArn, repositoryUri, createdAt, imageScanningConfiguration, encryptionConfiguration } = repository;
  const rest = { repositoryArn, repositoryUri, createdAt, imageScanningConfiguration, encryptionConfiguration };
  return { ...named(repository), ...shownMutability(repository), ...rest };
}

function shownMutability({ imageTagMutability, imageTagMutabilityExclusionFilters: filters }: Mutability): object {
  return { imageTagMutability, ...(filters.length > 0 && { imageTagMutabilityExclusionFilters: filters }) };
}

function noPolicy(code: string, what: string, { repositoryName, registryId }: EcrRepository): AwsError {
  const message = `${what} policy does not exist for the repository with name '${repositoryName}' in the registry with id '${registryId}'`;
  return new AwsError(code, message);
}
