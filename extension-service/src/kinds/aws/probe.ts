import { ABSENT_DIGEST, PROBE_REPOSITORY } from '../probe.js';
import type { Probe } from '../probe.js';
import { statement } from './advice.js';
import type { AwsClients } from './clients.js';
import { attempt } from './probe-attempt.js';
import type { Attempt, EcrProbe, ReportCheck } from './probe-attempt.js';
import { probeAccount } from './probe-account.js';
import { probeSigning } from './probe-signing.js';
import { ecrHost } from './hosts.js';
import { ecrNames } from './names.js';
import { desiredPolicies, policiesTag } from './policies.js';
import { probePushActions } from './probe-push.js';
import { targetRepositories } from './sweep.js';

/**
 * Tests each permission without changing anything: for a repository that does not exist, ECR checks permissions before
 * it reports the missing repository.
 */
export async function probeEcr(probe: EcrProbe): Promise<readonly Probe[]> {
  const { aws, registry } = probe;
  const found: Probe[] = [];
  const say = (check: string, ok: boolean, message: string): void => {
    found.push({ registry: `${registry} (${ecrHost(aws)})`, check, ok, message });
  };
  const identity = await attempt(probe, 'sts:GetCallerIdentity', '*', async ({ sdk, sts }) =>
    sts.send(new sdk.GetCallerIdentityCommand({}), { abortSignal: probe.signal }),
  );
  if ('problem' in identity) say('identity', false, identity.problem);
  else say('identity', true, identity.value.Arn ?? 'unknown');
  // Without credentials everything else fails in the same way.
  if ('problem' in identity) return found;
  if (aws.public === true || !probe.isTarget) return found;

  const missing = [...new Set([...(await missingControlActions(probe, say)), ...(await probePushActions(probe, say))])];
  for (const action of missing) say(action, false, `the identity's policy does not allow ${action}`);
  const login = missing.filter((action) => action === 'ecr:GetAuthorizationToken');
  const scoped = missing.filter((action) => action !== 'ecr:GetAuthorizationToken');
  const { prefix } = aws;
  const resource = ecrNames(aws).arn(prefix === '' ? '*' : `${prefix}/*`);
  for (const [actions, on] of [
    [login, '*'],
    [scoped, resource],
  ] as const) {
    if (actions.length > 0) say('policy', false, `add this statement to it: ${statement(actions, on)}`);
  }
  if (found.every(({ ok }) => ok)) say('permissions', true, 'every action is allowed');
  await probeAccount(probe, say, identity.value.Arn ?? '');
  await probeSigning(probe, say);
  return found;
}

/** The actions of ECR's API that are refused. */
async function missingControlActions(probe: EcrProbe, say: ReportCheck): Promise<string[]> {
  const { aws, signal } = probe;
  const names = ecrNames(aws);
  const repositoryName = aws.prefix === '' ? PROBE_REPOSITORY : `${aws.prefix}/${PROBE_REPOSITORY}`;
  const resourceArn = names.arn(repositoryName);
  const where = { registryId: aws.accountId, repositoryName };
  const { accessPolicy, lifecyclePolicy } = aws.ecrOptions;
  const options = { abortSignal: signal };
  const calls: Record<string, (clients: AwsClients) => Promise<unknown>> = {
    'ecr:GetAuthorizationToken': ({ sdk, ecr }) => ecr.send(new sdk.GetAuthorizationTokenCommand({}), options),
    ...(aws.repositories.mode === 'api' && {
      'ecr:DescribeRepositories': ({ sdk, ecr }) =>
        ecr.send(
          new sdk.DescribeRepositoriesCommand({ registryId: aws.accountId, repositoryNames: [repositoryName] }),
          options,
        ),
    }),
    ...(desiredPolicies(aws) !== undefined &&
      aws.repositories.mode === 'api' && {
        'ecr:ListTagsForResource': ({ sdk, ecr }) =>
          ecr.send(new sdk.ListTagsForResourceCommand({ resourceArn }), options),
        'ecr:TagResource': ({ sdk, ecr }) =>
          ecr.send(new sdk.TagResourceCommand({ resourceArn, tags: [{ Key: policiesTag, Value: 'check' }] }), options),
      }),
    ...(accessPolicy !== undefined && {
      'ecr:SetRepositoryPolicy': ({ sdk, ecr }) =>
        ecr.send(new sdk.SetRepositoryPolicyCommand({ ...where, policyText: accessPolicy }), options),
      'ecr:GetRepositoryPolicy': ({ sdk, ecr }) => ecr.send(new sdk.GetRepositoryPolicyCommand(where), options),
    }),
    ...(lifecyclePolicy !== undefined && {
      'ecr:PutLifecyclePolicy': ({ sdk, ecr }) =>
        ecr.send(new sdk.PutLifecyclePolicyCommand({ ...where, lifecyclePolicyText: lifecyclePolicy }), options),
      'ecr:GetLifecyclePolicy': ({ sdk, ecr }) => ecr.send(new sdk.GetLifecyclePolicyCommand(where), options),
    }),
    ...(probe.deletes && {
      'ecr:BatchDeleteImage': ({ sdk, ecr }) =>
        ecr.send(new sdk.BatchDeleteImageCommand({ ...where, imageIds: [{ imageDigest: ABSENT_DIGEST }] }), options),
    }),
  };
  const missing: string[] = [];
  for (const [action, call] of Object.entries(calls)) {
    const result = await attempt(probe, action, resourceArn, call);
    if (!('problem' in result)) continue;
    if (result.lacks !== undefined) missing.push(result.lacks);
    else if (result.kind !== 'absent') say(action, false, result.problem);
  }
  if (aws.repositories.mode !== 'preexisting') {
    const creation = await tryCreation(probe);
    if (creation === undefined) {
      say('ecr:CreateRepository', true, 'not tried: there is no repository yet to try it with');
    } else if ('problem' in creation) {
      if (creation.lacks !== undefined) missing.push(creation.lacks);
      else if (creation.kind === 'forbidden') say('ecr:CreateRepository', false, creation.problem);
    }
  }
  return missing;
}

/**
 * Creates an existing repository, with its tags, which need an action of their own: this changes nothing, and fails.
 * Undefined if none exists.
 */
async function tryCreation(probe: EcrProbe): Promise<Attempt<unknown> | undefined> {
  const { aws, signal } = probe;
  const names = ecrNames(aws);
  const existing = await attempt(probe, 'ecr:DescribeRepositories', names.arn('*'), async (clients) => {
    for await (const repository of targetRepositories(clients, aws, names, signal)) return repository;
    return undefined;
  });
  const repository = 'problem' in existing ? undefined : existing.value;
  if (repository === undefined) return undefined;
  const { tags } = aws.ecrOptions;
  return attempt(probe, 'ecr:CreateRepository', names.arn(repository), ({ sdk, ecr }) =>
    ecr.send(
      new sdk.CreateRepositoryCommand({
        registryId: aws.accountId,
        repositoryName: repository,
        tags: tags.map(({ key, value }) => ({ Key: key, Value: value })),
      }),
      { abortSignal: signal },
    ),
  );
}
