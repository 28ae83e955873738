import { createHash } from 'node:crypto';
import type { AwsConfig } from './config.js';
import type { AwsClients } from './clients.js';
import { AwsCallError } from './problems.js';
import { parseBoundedJson } from '../../core/json-bounds.js';

/** The tag of a repository that says which policies it has: a hash, or {@link pendingValue}. */
export const policiesTag = 'image-swapper.io/policies';
/** The repository is there and its policies may not be yet. */
export const pendingValue = 'pending';

/** The policies that a repository must have. */
export interface DesiredPolicies {
  readonly accessPolicy?: string;
  readonly lifecyclePolicy?: string;
  /** Of both; equal for texts that are equal JSON. */
  readonly hash: string;
}

/** Undefined when the configuration has no policies: then none are touched. */
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

/** Names of ECR's things in one registry. */
export interface EcrNames {
  readonly accountId: string;
  readonly arn: (repository: string) => string;
}

/** Sets both policies and, once they are there, the tag with their hash if the repository is to have it. @throws AwsCallError of the first that failed */
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

/** The value of our tag; undefined when the repository has none. */
export async function readPoliciesTag(
  { sdk, ecr }: AwsClients,
  resourceArn: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const command = new sdk.ListTagsForResourceCommand({ resourceArn });
  const { tags = [] } = await named('ecr:ListTagsForResource', resourceArn, ecr.send(command, { abortSignal: signal }));
  return tags.find(({ Key }) => Key === policiesTag)?.Value;
}

/** Gives a failure the name of its call. */
export async function named<T>(action: string, resource: string, call: Promise<T>): Promise<T> {
  return call.catch((cause: unknown) => {
    throw new AwsCallError(action, resource, cause);
  });
}

/** JSON with sorted keys and no spaces; ECR gives policies back in another layout than they were set in. */
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
