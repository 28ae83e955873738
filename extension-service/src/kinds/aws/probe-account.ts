import { driftOf } from './drift.js';
import { ecrNames } from './names.js';
import { desiredPolicies } from './policies.js';
import { attempt } from './probe-attempt.js';
import type { EcrProbe, ReportCheck } from './probe-attempt.js';

/** Checks the registry's settings and the state of the repositories: mounts, templates, pull times, policies. */
export async function probeAccount(probe: EcrProbe, say: ReportCheck, identity: string): Promise<void> {
  await probeMounting(probe, say);
  if (probe.aws.repositories.mode === 'createOnPush') await probeTemplates(probe, say);
  await probePullTimes(probe, say, identity);
  await probePolicies(probe, say);
}

async function probeMounting(probe: EcrProbe, say: ReportCheck): Promise<void> {
  const mounting = await attempt(probe, 'ecr:GetAccountSetting', '*', ({ sdk, ecr }) =>
    ecr.send(new sdk.GetAccountSettingCommand({ name: 'BLOB_MOUNTING' }), { abortSignal: probe.signal }),
  );
  if ('problem' in mounting) return;
  const on = mounting.value.value === 'ENABLED';
  const hint =
    'off: shared layers are uploaded again for each image; an administrator can turn it on with: aws ecr put-account-setting --name BLOB_MOUNTING --value ENABLED';
  say('blob mounting', true, on ? 'on' : hint);
}

/**
 * If no template matches, ECR creates repositories with its defaults, which goes unnoticed until a pull is rejected.
 */
async function probeTemplates(probe: EcrProbe, say: ReportCheck): Promise<void> {
  const { aws, signal } = probe;
  const answer = await attempt(probe, 'ecr:DescribeRepositoryCreationTemplates', '*', async ({ sdk, ecr }) => {
    const prefixes: string[] = [];
    let nextToken: string | undefined;
    do {
      const command = new sdk.DescribeRepositoryCreationTemplatesCommand({ ...(nextToken && { nextToken }) });
      const page = await ecr.send(command, { abortSignal: signal });
      for (const { prefix = '', appliedFor } of page.repositoryCreationTemplates ?? []) {
        if (appliedFor?.includes('CREATE_ON_PUSH') === true) prefixes.push(prefix);
      }
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    return prefixes;
  });
  if ('problem' in answer) {
    const unknown = answer.kind === 'forbidden' ? 'not known: it needs ecr:DescribeRepositoryCreationTemplates' : '';
    return say('creation template', true, unknown === '' ? answer.problem : unknown);
  }
  const matching = answer.value.filter((prefix) => coversPrefix(prefix, aws.prefix));
  const [longest] = matching.sort((one, other) => weight(other) - weight(one));
  say(
    'creation template',
    true,
    longest === undefined
      ? "none with appliedFor CREATE_ON_PUSH matches the prefix: new repositories get ECR's defaults (mutable tags, AES256, no policies, so other accounts cannot pull)"
      : `${longest} applies to new repositories; ecrOptions have no effect`,
  );
}

/** `ROOT` matches every repository; any other prefix those that begin with it and a slash. */
function coversPrefix(template: string, prefix: string): boolean {
  return template === 'ROOT' || `${prefix}/`.startsWith(`${template}/`);
}

function weight(template: string): number {
  return template === 'ROOT' ? 0 : template.length;
}

/** ECR counts our lookups as pulls, so rules by the last pull never match while the service runs. */
async function probePullTimes(probe: EcrProbe, say: ReportCheck, identity: string): Promise<void> {
  const { aws, signal } = probe;
  const principal = principalOf(identity);
  const answer = await attempt(probe, 'ecr:ListPullTimeUpdateExclusions', '*', async ({ sdk, ecr }) => {
    const excluded: string[] = [];
    let nextToken: string | undefined;
    do {
      const command = new sdk.ListPullTimeUpdateExclusionsCommand({ ...(nextToken && { nextToken }) });
      const page = await ecr.send(command, { abortSignal: signal });
      excluded.push(...(page.pullTimeUpdateExclusions ?? []));
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    return excluded;
  });
  const needed = aws.ecrOptions.lifecyclePolicy?.includes('"sinceImagePulled"') === true;
  const command = `aws ecr register-pull-time-update-exclusion --principal-arn ${principal}`;
  const why = 'reads by the service count as pulls, so lifecycle rules with sinceImagePulled never match';
  if ('problem' in answer) {
    const unknown = answer.kind === 'forbidden' ? 'it needs ecr:ListPullTimeUpdateExclusions' : answer.problem;
    return say('pull times', true, `not known: ${unknown}; without an exclusion, ${why}: ${command}`);
  }
  if (answer.value.some((one) => isSamePrincipal(one, principal))) {
    return say('pull times', true, 'reads by the service do not count as pulls');
  }
  say('pull times', !needed, `${why}; exclude it: ${command}`);
}

/**
 * The role or user whose reads ECR records, from the identity that STS returns; it does not contain the path of a role.
 */
function principalOf(identity: string): string {
  const role = /^arn:([a-z-]+):sts::(\d+):assumed-role\/([^/]+)\//.exec(identity);
  return role === null ? identity : `arn:${role[1] ?? ''}:iam::${role[2] ?? ''}:role/${role[3] ?? ''}`;
}

function isSamePrincipal(excluded: string, principal: string): boolean {
  const parts = (arn: string): readonly (string | undefined)[] => {
    const names = arn.split(/[:/]/);
    return [names[4], names[5], names.at(-1)];
  };
  return parts(excluded).join(' ') === parts(principal).join(' ');
}

async function probePolicies(probe: EcrProbe, say: ReportCheck): Promise<void> {
  const { aws, signal } = probe;
  const names = ecrNames(aws);
  const desired = aws.repositories.mode === 'api' ? desiredPolicies(aws) : undefined;
  if (desired === undefined) return;
  const drift = await attempt(probe, 'ecr:DescribeRepositories', names.arn('*'), (clients) =>
    driftOf(clients, aws, names, desired, signal),
  );
  if ('problem' in drift) return say('policies', false, drift.problem);
  for (const { repository, policies } of drift.value) {
    const will = aws.repositories.reconcilePolicies
      ? 'the service applies them again'
      : 'repositories.reconcilePolicies is false';
    say('policies', false, `${repository}: ${policies.join(' and ')} differ from the configuration; ${will}`);
  }
  if (drift.value.length === 0) say('policies', true, 'every mirrored repository has the configured policies');
}
