import type { AwsConfig } from './config.js';
import { untilAborted } from '../../registry/transport/abort.js';
import type { CloudRepositories } from '../cloud.js';
import { USAGE_REPOSITORY } from '../../core/gc/usage-record.js';
import { isImmutableTag } from './mutability.js';
import type { EcrContext } from './context.js';
import type { PolicyKeeper } from './policy-keeper.js';
import { pendingValue, policiesTag } from './policies.js';
import { awsProblem } from './problems.js';
import { removeImages } from './remove-images.js';

export interface EcrRepositoriesOptions extends EcrContext {
  readonly keeper: PolicyKeeper;
}

/** A repository that was created is not created again for this many milliseconds. */
const RECENT_CREATION_MS = 30_000;
/** Time limit in milliseconds for one creation, including the SDK's retries. */
const CREATION_TIMEOUT_MS = 60_000;

/** Repositories of a target, created when a push finds them missing: ECR has one for each image name. */
export class EcrRepositories implements CloudRepositories {
  readonly #creations = new Map<string, Promise<boolean>>();

  constructor(private readonly options: EcrRepositoriesOptions) {}

  async create(repository: string, signal: AbortSignal | undefined): Promise<boolean> {
    let creation = this.#creations.get(repository);
    if (creation === undefined) {
      creation = this.#create(repository);
      this.#creations.set(repository, creation);
      const forget = (): boolean => this.#creations.delete(repository);
      // Other parts of the image may have learned earlier that it is missing, and only ask now.
      creation.then(
        () => setTimeout(forget, RECENT_CREATION_MS).unref(),
        () => forget(),
      );
    }
    // If a caller gives up, the creation continues for the other callers that wait for it.
    return signal === undefined ? creation : untilAborted(creation, signal);
  }

  used(repository: string): void {
    this.options.keeper.used(repository);
  }

  readonly remove: NonNullable<CloudRepositories['remove']> = (repository, digests, signal) =>
    removeImages(this.options, repository, digests, signal);

  isImmutable(tag: string): boolean {
    return isImmutableTag(this.options.aws.ecrOptions, tag);
  }

  async #create(repository: string): Promise<boolean> {
    const { registry, host, names, onEvent, aws, keeper } = this.options;
    const resource = names.arn(repository);
    if (aws.repositories.mode !== 'api') throw this.#missing(repository);
    const clients = await this.options.clients();
    try {
      const command = new clients.sdk.CreateRepositoryCommand(createInput(aws, repository, keeper.setsMark));
      await clients.ecr.send(command, { abortSignal: AbortSignal.timeout(CREATION_TIMEOUT_MS) });
    } catch (error) {
      // Another replica was faster, or someone created it between our check and this call.
      if (error instanceof Error && error.name === 'RepositoryAlreadyExistsException') {
        onEvent({ kind: 'repository', registry, repository, action: 'create', outcome: 'exists' });
        keeper.used(repository);
        return true;
      }
      const problem = awsProblem(host, 'ecr:CreateRepository', resource, error);
      const { kind: outcome, message } = problem;
      onEvent({ kind: 'repository', registry, repository, action: 'create', outcome, message });
      throw problem;
    }
    onEvent({ kind: 'repository', registry, repository, action: 'create', outcome: 'ok' });
    keeper.created(repository);
    return true;
  }

  #missing(repository: string): Error {
    const { host, names, aws } = this.options;
    const hint =
      aws.repositories.mode === 'createOnPush'
        ? 'no repository creation template with appliedFor CREATE_ON_PUSH matches its name, or ecr:CreateRepository is missing'
        : 'repositories.mode is preexisting: create it, or use mode api';
    const cause = Object.assign(new Error(`the repository does not exist; ${hint}`), {
      name: 'RepositoryNotFoundException',
    });
    return awsProblem(host, 'push', names.arn(repository), cause);
  }
}

function createInput({ accountId, ecrOptions }: AwsConfig, repositoryName: string, marks: boolean) {
  const { tags, imageTagMutability, imageTagMutabilityExclusionFilters, encryptionConfiguration } = ecrOptions;
  const own = marks ? [{ Key: policiesTag, Value: pendingValue }] : [];
  const { encryptionType, kmsKey } = encryptionConfiguration;
  // Each new usage record moves its cluster's tag, so the tags of this repository must be mutable.
  const isUsage = repositoryName.split('/').at(-1) === USAGE_REPOSITORY;
  return {
    registryId: accountId,
    repositoryName,
    tags: [...tags.map(({ key, value }) => ({ Key: key, Value: value })), ...own],
    imageTagMutability: isUsage ? ('MUTABLE' as const) : imageTagMutability,
    ...(!isUsage &&
      imageTagMutabilityExclusionFilters.length > 0 && {
        imageTagMutabilityExclusionFilters: imageTagMutabilityExclusionFilters.map(({ filterType, filter }) => ({
          filterType,
          filter,
        })),
      }),
    imageScanningConfiguration: { scanOnPush: ecrOptions.imageScanningConfiguration.imageScanOnPush },
    encryptionConfiguration: { encryptionType, ...(kmsKey !== undefined && { kmsKey }) },
  };
}
