import type { AwsConfig } from './config.js';
import type { AwsClients } from './clients.js';
import { canonicalJson, named, readPoliciesTag } from './policies.js';
import type { DesiredPolicies, EcrNames } from './policies.js';
import { targetRepositories } from './sweep.js';

/** A repository whose policies differ from the configuration. */
export interface Drift {
  readonly repository: string;
  readonly policies: readonly string[];
}

/**
 * Compares the actual policies of every repository that has our tag, so that manual changes are also found.
 *
 * @throws AwsCallError
 */
export async function driftOf(
  clients: AwsClients,
  aws: AwsConfig,
  names: EcrNames,
  { accessPolicy, lifecyclePolicy }: DesiredPolicies,
  signal: AbortSignal,
): Promise<Drift[]> {
  const { sdk, ecr } = clients;
  const options = { abortSignal: signal };
  const drifts: Drift[] = [];
  for await (const repository of targetRepositories(clients, aws, names, signal)) {
    const arn = names.arn(repository);
    if ((await readPoliciesTag(clients, arn, signal)) === undefined) continue;
    const where = { registryId: aws.accountId, repositoryName: repository };
    const policies: string[] = [];
    if (accessPolicy !== undefined) {
      const read = ecr
        .send(new sdk.GetRepositoryPolicyCommand(where), options)
        .then(({ policyText }) => policyText)
        .catch(unset('RepositoryPolicyNotFoundException'));
      if (differs(accessPolicy, await named('ecr:GetRepositoryPolicy', arn, read))) policies.push('accessPolicy');
    }
    if (lifecyclePolicy !== undefined) {
      const read = ecr
        .send(new sdk.GetLifecyclePolicyCommand(where), options)
        .then(({ lifecyclePolicyText }) => lifecyclePolicyText)
        .catch(unset('LifecyclePolicyNotFoundException'));
      if (differs(lifecyclePolicy, await named('ecr:GetLifecyclePolicy', arn, read))) policies.push('lifecyclePolicy');
    }
    if (policies.length > 0) drifts.push({ repository, policies });
  }
  return drifts;
}

function unset(name: string): (error: unknown) => undefined {
  return (error) => {
    if (!(error instanceof Error) || error.name !== name) throw error;
    return undefined;
  };
}

function differs(wanted: string, actual: string | undefined): boolean {
  return canonicalJson(wanted) !== canonicalJson(actual);
}
