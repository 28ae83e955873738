import { AwsError, partitionOf } from './aws-error.js';
import { checkRepositoryName, type Encryption, type Mutability, type Tag } from './ecr-rules.js';

/** A repository as the API shows it, with its policies. */
export interface EcrRepository extends Mutability {
  readonly registryId: string;
  readonly region: string;
  readonly repositoryName: string;
  readonly repositoryArn: string;
  readonly repositoryUri: string;
  readonly createdAt: number;
  readonly imageScanningConfiguration: { readonly scanOnPush: boolean };
  readonly encryptionConfiguration: Encryption;
  readonly tags: readonly Tag[];
  readonly policyText?: string;
  readonly lifecyclePolicyText?: string;
}

export type RepositorySettings = Partial<
  Omit<EcrRepository, 'registryId' | 'region' | 'repositoryName' | 'repositoryArn' | 'repositoryUri' | 'createdAt'>
>;

/** `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, with the domain of the region's partition. */
export function ecrHost(account: string, region: string): string {
  return `${account}.dkr.ecr.${region}.amazonaws.com${partitionOf(region) === 'aws-cn' ? '.cn' : ''}`;
}

export function repositoryArn(account: string, region: string, name: string): string {
  return `arn:${partitionOf(region)}:ecr:${region}:${account}:repository/${name}`;
}

/** The repositories of all accounts and regions. */
export class EcrRepositories {
  readonly #all = new Map<string, EcrRepository>();
  /** Maximum number of repositories in one account and region. */
  quota = 100_000;

  /** @throws AwsError when the repository exists or the quota is reached */
  create(account: string, region: string, name: string, settings: RepositorySettings): EcrRepository {
    const arn = repositoryArn(account, region, name);
    if (this.#all.has(arn)) {
      const message = `The repository with name '${name}' already exists in the registry with id '${account}'`;
      throw new AwsError('RepositoryAlreadyExistsException', message);
    }
    if (this.list(account, region).length >= this.quota) {
      const message = `The number of repositories in the registry with id '${account}' has reached the limit of ${this.quota}`;
      throw new AwsError('LimitExceededException', message);
    }
    const repository: EcrRepository = {
      imageTagMutability: 'MUTABLE',
      imageTagMutabilityExclusionFilters: [],
      imageScanningConfiguration: { scanOnPush: false },
      encryptionConfiguration: { encryptionType: 'AES256' },
      tags: [],
      ...settings,
      registryId: account,
      region,
      repositoryName: name,
      repositoryArn: arn,
      repositoryUri: `${ecrHost(account, region)}/${name}`,
      createdAt: Date.now() / 1000,
    };
    this.#all.set(arn, repository);
    return repository;
  }

  find(account: string, region: string, name: string): EcrRepository | undefined {
    return this.#all.get(repositoryArn(account, region, name));
  }

  /** @throws AwsError RepositoryNotFoundException */
  get(account: string, region: string, name: unknown): EcrRepository {
    const found = this.find(account, region, checkRepositoryName(name));
    if (found !== undefined) return found;
    const message = `The repository with name '${String(name)}' does not exist in the registry with id '${account}'`;
    throw new AwsError('RepositoryNotFoundException', message);
  }

  /** @throws AwsError InvalidParameterException or RepositoryNotFoundException */
  byArn(arn: unknown): EcrRepository {
    const match = /^arn:aws(?:-cn|-us-gov)?:ecr:([^:]+):(\d{12}):repository\/(.+)$/.exec(String(arn));
    if (match === null) throw new AwsError('InvalidParameterException', `Invalid parameter at 'resourceArn'`);
    return this.get(match[2] ?? '', match[1] ?? '', match[3]);
  }

  change(repository: EcrRepository, settings: RepositorySettings): EcrRepository {
    const changed = { ...repository, ...settings };
    this.#all.set(repository.repositoryArn, changed);
    return changed;
  }

  delete(repository: EcrRepository): void {
    this.#all.delete(repository.repositoryArn);
  }

  list(account: string, region: string): EcrRepository[] {
    return [...this.#all.values()].filter((one) => one.registryId === account && one.region === region);
  }
}
