import type { AwsClients } from './clients.js';
import type { AwsConfig } from './config.js';
import { ecrNames } from './names.js';
import { attempt } from './probe-attempt.js';
import type { EcrProbe, ReportCheck } from './probe-attempt.js';
import { statement } from './advice.js';
import { targetRepositories } from './sweep.js';

/** Actions that ECR performs with the pushing identity to sign the image. */
const SIGNER_ACTIONS = ['signer:GetSigningProfile', 'signer:SignPayload'] as const;

/** Maximum repositories to check for an unsigned image. */
const MAX_REPOSITORIES = 5;

interface Rule {
  readonly profile: string;
  readonly filters: readonly string[];
}

/**
 * Managed signing: ECR signs on push with the pushing identity. The signer's permission cannot be tested without
 * signing, so this shows the result for existing images.
 *
 * @see https://docs.aws.amazon.com/AmazonECR/latest/userguide/managed-signing.html
 */
export async function probeSigning(probe: EcrProbe, say: ReportCheck): Promise<void> {
  const { aws, signal } = probe;
  const answer = await attempt(probe, 'ecr:GetSigningConfiguration', '*', async ({ sdk, ecr }) => {
    const { signingConfiguration } = await ecr.send(new sdk.GetSigningConfigurationCommand({}), {
      abortSignal: signal,
    });
    return (signingConfiguration?.rules ?? []).map(({ signingProfileArn = '', repositoryFilters }): Rule => ({
      profile: signingProfileArn,
      filters: (repositoryFilters ?? []).map(({ filter = '' }) => filter),
    }));
  });
  if ('problem' in answer) {
    if (answer.kind === 'absent') return say('managed signing', true, 'off');
    const unknown = answer.kind === 'forbidden' ? 'it needs ecr:GetSigningConfiguration' : answer.problem;
    const needs = `${SIGNER_ACTIONS.join(' and ')} on the signing profile`;
    return say('managed signing', true, `not known: ${unknown}; where ECR signs on push, the identity needs ${needs}`);
  }
  const profiles = [...new Set(answer.value.filter((rule) => mayMatchPrefix(rule, aws)).map(({ profile }) => profile))];
  if (profiles.length === 0) return say('managed signing', true, 'off');
  const failures = await attempt(probe, 'ecr:DescribeImageSigningStatus', ecrNames(aws).arn('*'), (clients) =>
    failedSignings(clients, aws, signal),
  );
  for (const profile of profiles) {
    const needs = statement(SIGNER_ACTIONS, profile);
    const failed = 'problem' in failures ? undefined : failures.value.find((one) => one.profile === profile);
    say(
      'managed signing',
      failed === undefined,
      failed === undefined
        ? `ECR signs pushed images with ${profile}, as the pushing identity, which needs ${needs}`
        : `${failed.image} was not signed with ${profile}: ${failed.reason}; the identity that pushes needs ${needs}`,
    );
  }
}

/** Whether a rule may match a repository under our prefix; `*` stands for any characters. */
function mayMatchPrefix({ filters }: Rule, { prefix }: AwsConfig): boolean {
  if (filters.length === 0 || prefix === '') return true;
  return filters.some((filter) => {
    const [literal = ''] = filter.split('*');
    return literal.startsWith(`${prefix}/`) || `${prefix}/`.startsWith(literal);
  });
}

interface FailedSigning {
  readonly profile: string;
  readonly image: string;
  readonly reason: string;
}

/** Checks the signature of one image in each of the first repositories. */
async function failedSignings(
  clients: AwsClients,
  aws: AwsConfig,
  abortSignal: AbortSignal,
): Promise<readonly FailedSigning[]> {
  const { sdk, ecr } = clients;
  const failures: FailedSigning[] = [];
  let checkedCount = 0;
  for await (const repositoryName of targetRepositories(clients, aws, ecrNames(aws), abortSignal)) {
    if (checkedCount++ >= MAX_REPOSITORIES) break;
    const where = { registryId: aws.accountId, repositoryName };
    const images = await ecr.send(
      new sdk.DescribeImagesCommand({ ...where, maxResults: 1, filter: { tagStatus: 'TAGGED' } }),
      { abortSignal },
    );
    const imageDigest = images.imageDetails?.[0]?.imageDigest;
    if (imageDigest === undefined) continue;
    const command = new sdk.DescribeImageSigningStatusCommand({ ...where, imageId: { imageDigest } });
    const { signingStatuses = [] } = await ecr.send(command, { abortSignal });
    for (const { status, signingProfileArn: profile = '', failureCode = '', failureReason = '' } of signingStatuses) {
      if (status !== 'FAILED') continue;
      const reason = [failureCode, failureReason].filter((text) => text !== '').join(': ');
      failures.push({ profile, image: `${repositoryName}@${imageDigest}`, reason });
    }
  }
  return failures;
}
