import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AwsConfig } from '../../../extension-service/src/kinds/aws/config.js';
import { loadAwsClients } from '../../../extension-service/src/kinds/aws/clients.js';
import { ecrHost } from '../../../extension-service/src/kinds/aws/hosts.js';
import { ecrNames } from '../../../extension-service/src/kinds/aws/names.js';
import { PolicyKeeper } from '../../../extension-service/src/kinds/aws/policy-keeper.js';
import { desiredPolicies, pendingValue, policiesTag } from '../../../extension-service/src/kinds/aws/policies.js';
import { PolicySweep } from '../../../extension-service/src/kinds/aws/sweep.js';
import type { CloudEvent } from '../../../extension-service/src/kinds/cloud.js';
import { EcrControl } from '../../fakes/ecr-control.js';
import { awsConfig, defaultEcrOptions } from '../../unit/targets/aws/config.js';
import { until } from '../../fakes/until.js';

/** The sweep of all repositories with ECR's API and the real SDK. */

const ACCOUNT = '123456789012';
const REGION = 'eu-central-1';
const lifecyclePolicy =
  '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":9},"action":{"type":"expire"}}]}';

let control: EcrControl;
let events: CloudEvent[];
let open: { stop(): void }[];

beforeEach(async () => {
  control = await EcrControl.start();
  for (const [name, value] of Object.entries({ ...control.env, ...control.userEnv })) vi.stubEnv(name, value);
  events = [];
  open = [];
});
afterEach(async () => {
  for (const one of open) one.stop();
  vi.unstubAllEnvs();
  await control.close();
});

function create(name: string, mark?: string): void {
  const tags = mark === undefined ? [] : [{ Key: policiesTag, Value: mark }];
  control.repositories.create(ACCOUNT, REGION, name, { tags });
}

function sweep(more: Partial<AwsConfig> = {}): void {
  const aws = awsConfig({ prefix: 'mirror', ecrOptions: { ...defaultEcrOptions, lifecyclePolicy }, ...more });
  const shared = {
    aws,
    registry: 'target default',
    host: ecrHost(aws),
    names: ecrNames(aws),
    clients: () => loadAwsClients(aws, process.env),
    onEvent: (event: CloudEvent) => events.push(event),
  };
  const keeper = new PolicyKeeper({ ...shared, base: 50 });
  const looks = new PolicySweep({ ...shared, keeper, first: 0, interval: 300 });
  open.push(keeper, looks);
  void looks.run();
}

const policyOf = (name: string): string | undefined =>
  control.repositories.find(ACCOUNT, REGION, name)?.lifecyclePolicyText;
const driftCounts = (): number[] => events.flatMap((event) => (event.kind === 'drift' ? [event.repositories] : []));

describe('the sweep of all repositories', () => {
  it('updates only its own repositories with a pending or different mark', async () => {
    const good = desiredPolicies(awsConfig({ ecrOptions: { ...defaultEcrOptions, lifecyclePolicy } }))?.hash ?? '';
    create('mirror/docker.io/library/pending', pendingValue);
    create('mirror/quay.io/old', '0'.repeat(32));
    create('mirror/ghcr.io/good', good);
    create('mirror/docker.io/library/unmarked');
    create('mirror/team', pendingValue);
    create('other/docker.io/library/app', pendingValue);
    sweep();
    await until('nothing is left to correct', () => driftCounts().at(-1) === 0 && driftCounts().length >= 2);
    expect(driftCounts()[0]).toBe(2);
    expect(policyOf('mirror/docker.io/library/pending')).toBe(lifecyclePolicy);
    expect(policyOf('mirror/quay.io/old')).toBe(lifecyclePolicy);
    const changed = control.calls('PutLifecyclePolicy').map(({ parameters }) => parameters['repositoryName']);
    expect(changed.sort()).toEqual(['mirror/docker.io/library/pending', 'mirror/quay.io/old']);
    const asked = control.calls('ListTagsForResource').map(({ parameters }) => String(parameters['resourceArn']));
    expect(asked.some((arn) => /repository\/(?:mirror\/team|other)/.test(arn))).toBe(false);
  });

  it('with reconcilePolicies: false only reports their number', async () => {
    create('mirror/quay.io/old', '0'.repeat(32));
    sweep({ repositories: { mode: 'api', reconcilePolicies: false } });
    await until('two looks', () => driftCounts().length >= 2);
    expect(driftCounts().every((count) => count === 1)).toBe(true);
    expect(control.calls('PutLifecyclePolicy')).toEqual([]);
  });

  it('makes no call without policies or when others create repositories', async () => {
    create('mirror/quay.io/old', '0'.repeat(32));
    sweep({ ecrOptions: defaultEcrOptions });
    sweep({ repositories: { mode: 'preexisting', reconcilePolicies: true } });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(control.log).toEqual([]);
  });

  it('reads every page', async () => {
    for (let i = 0; i < 1_005; i++) create(`mirror/team/${i}`);
    create('mirror/zz.io/last', pendingValue);
    sweep();
    await until('the last one', () => policyOf('mirror/zz.io/last') === lifecyclePolicy);
    expect(control.calls('DescribeRepositories').length).toBeGreaterThanOrEqual(2);
  });

  it('reports missing policies and checks again', async () => {
    control.fault({ action: 'DescribeRepositories', times: 1, fault: { type: 'denied' } });
    create('mirror/quay.io/old', '0'.repeat(32));
    sweep();
    await until('the second look', () => policyOf('mirror/quay.io/old') === lifecyclePolicy);
    expect(events[0]).toMatchObject({ kind: 'repository', outcome: 'forbidden' });
    expect(JSON.stringify(events[0])).toContain(
      'ecr:DescribeRepositories on arn:aws:ecr:eu-central-1:123456789012:repository/*',
    );
  });

  it('tries a repository again until it is fixed', async () => {
    create('mirror/quay.io/old', '0'.repeat(32));
    control.fault({ action: 'PutLifecyclePolicy', times: 3, fault: { type: 'denied' } });
    sweep();
    await until('the fourth try', () => policyOf('mirror/quay.io/old') === lifecyclePolicy);
    expect(control.calls('PutLifecyclePolicy')).toHaveLength(4);
  });
});
