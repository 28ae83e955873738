import { createHash } from 'node:crypto';
import type { AwsConfig } from './config.js';
import type { AwsClients } from './clients.js';
import { AwsCallError } from './problems.js';
import { parseBoundedJson } from '../../core/json-bounds.js';

/** The tag of a repository that identifies its policies: a hash, or {@link pendingValue}. */
export const policiesTag = 'image-swapper.io/policies';
/** The repository exists, but its policies may not be set yet. */
export const pendingValue = 'pending';

/** The policies that a repository must have. */
export interface DesiredPolicies {
  readonly accessPolicy?: string;
  readonly lifecyclePolicy?: string;
  /** Hash of both policies; equal for equivalent JSON texts. */
  readonly hash: string;
}

/** The policies of the configuration; undefined if it has none, so that none are changed. */
export function desiredPolicies({ ecrOptions }: AwsConfig): DesiredPolicies | undefined {
  const { accessPolicy, lifecyclePolicy } = ecrOptions;
  if (accessPolicy === undefined && lifecyclePolicy === undefined) return undefined;
  const text = JSON.stringify([canonicalJson(accessPolicy), canonicalJson(lifecyclePolicy)]);
  return {
    ...(accessPolicy !== undefined && { accessPolicy }),
    ...(lifecyclePolicy !== undefined && { lifecyclePolicy }),
    hash: createHash('sha256').update(text).digest('hex').slice(0, 32),
  };
}

/** Names of ECR's resources in one registry. */
export interface EcrNames {
  readonly accountId: string;
  readonly arn: (repository: string) => string;
}

/**
 * Sets both policies and then, if the repository should have it, the tag with their hash.
 * @throws AwsCallError for the first failure
 */
export async function applyPolicies(
  { sdk, ecr }: AwsClients,
  { accountId, arn }: EcrNames,
  repository: string,
  { accessPolicy, lifecyclePolicy, hash, mark }: DesiredPolicies & { readonly mark: boolean },
  signal: AbortSignal,
): Promise<void> {
  const options = { abortSignal: signal };
  const where = { registryId: accountId, repositoryName: repository };
  const resourceArn = arn(repository);
  if (accessPolicy !== undefined) {
    const command = new sdk.SetRepositoryPolicyCommand({ ...where, policyText: accessPolicy });
    await named('ecr:SetRepositoryPolicy', resourceArn, ecr.send(command, options));
  }
  if (lifecyclePolicy !== undefined) {
    const command = new sdk.PutLifecyclePolicyCommand({ ...where, lifecyclePolicyText: lifecyclePolicy });
    await named('ecr:PutLifecyclePolicy', resourceArn, ecr.send(command, options));
  }
  if (!mark) return;
  const command = new sdk.TagResourceCommand({ resourceArn, tags: [{ Key: policiesTag, Value: hash }] });
  await named('ecr:TagResource', resourceArn, ecr.send(command, options));
}

/** The value of our tag; undefined if the repository does not have it. */
export async function readPoliciesTag(
  { sdk, ecr }: AwsClients,
  resourceArn: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const command = new sdk.ListTagsForResourceCommand({ resourceArn });
  const { tags = [] } = await named('ecr:ListTagsForResource', resourceArn, ecr.send(command, { abortSignal: signal }));
  return tags.find(({ Key }) => Key === policiesTag)?.Value;
}

/** Adds the call's name to a failure. */
export async function named<T>(action: string, resource: string, call: Promise<T>): Promise<T> {
  return call.catch((cause: unknown) => {
    throw new AwsCallError(action, resource, cause);
  });
}

/** JSON with sorted keys and no spaces; ECR returns policies in another format than they were set in. */
export function canonicalJson(text: string | undefined): string | undefined {
  return text === undefined ? undefined : JSON.stringify(sorted(parseBoundedJson(text)));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => [key, sorted(member)]),
  );
}
