import {
  CreateRepositoryCommand,
  DescribeImagesCommand,
  DeleteRepositoryCommand,
  DescribeRepositoriesCommand,
  ECRClient,
  GetAccountSettingCommand,
  GetAuthorizationTokenCommand,
  GetLifecyclePolicyCommand,
  GetRepositoryPolicyCommand,
  ListTagsForResourceCommand,
  PutImageScanningConfigurationCommand,
  PutImageTagMutabilityCommand,
  PutLifecyclePolicyCommand,
  SetRepositoryPolicyCommand,
  TagResourceCommand,
  paginateDescribeRepositories,
  type CreateRepositoryCommandInput,
  type DescribeImagesFilter,
  type ECRClientConfig,
} from '@aws-sdk/client-ecr';
import {
  ECRPUBLICClient,
  GetAuthorizationTokenCommand as GetPublicAuthorizationTokenCommand,
} from '@aws-sdk/client-ecr-public';
import {
  AssumeRoleCommand,
  AssumeRoleWithWebIdentityCommand,
  GetCallerIdentityCommand,
  STSClient,
} from '@aws-sdk/client-sts';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import type { ControlFault } from '../../fakes/ecr-faults.js';
import { EcrControl, type EcrControlOptions } from '../../fakes/ecr-control.js';

/** The behavior of the fake control plane on which tests rely, checked with the real SDK. */

const run = promisify(execFile);
const region = 'eu-central-1';
const ROLE = 'arn:aws:iam::123456789012:role/mirror';
const OTHER = 'arn:aws:iam::210987654321:role/images';
const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(options: EcrControlOptions = {}): Promise<EcrControl> {
  const control = await EcrControl.start(options);
  cleanups.push(() => control.close());
  return control;
}

const USER = { accessKeyId: 'AKIATESTUSER00000001', secretAccessKey: 'secret+of/the-user' };

function ecr(control: EcrControl, options: ECRClientConfig = {}): ECRClient {
  const client = new ECRClient({ endpoint: control.origin, region, credentials: USER, maxAttempts: 1, ...options });
  cleanups.push(() => client.destroy());
  return client;
}

function sts(control: EcrControl, credentials: ECRClientConfig['credentials'] = USER): STSClient {
  const client = new STSClient({
    endpoint: control.origin,
    region,
    maxAttempts: 1,
    ...(credentials !== undefined && { credentials }),
  });
  cleanups.push(() => client.destroy());
  return client;
}

describe('repositories', () => {
  it('are created with their settings, shown, changed and deleted', async () => {
    const control = await start();
    const client = ecr(control);
    const repositoryName = 'docker.io/library/nginx';
    const policyText =
      '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}}';
    const lifecyclePolicyText = JSON.stringify({
      rules: [
        {
          rulePriority: 1,
          selection: { tagStatus: 'untagged', countType: 'sinceImagePushed', countUnit: 'days', countNumber: 14 },
          action: { type: 'expire' },
        },
      ],
    });
    const visible: CreateRepositoryCommandInput = {
      repositoryName,
      imageTagMutability: 'IMMUTABLE_WITH_EXCLUSION',
      imageTagMutabilityExclusionFilters: [{ filterType: 'WILDCARD', filter: 'latest*' }],
      imageScanningConfiguration: { scanOnPush: true },
      encryptionConfiguration: { encryptionType: 'KMS_DSSE', kmsKey: 'alias/mirror' },
    };
    const asked = { ...visible, tags: [{ Key: 'team', Value: 'platform' }] };
    const { repository } = await client.send(new CreateRepositoryCommand(asked));
    const resourceArn = `arn:aws:ecr:${region}:123456789012:repository/${repositoryName}`;
    expect(repository).toMatchObject({
      ...visible,
      registryId: '123456789012',
      repositoryArn: resourceArn,
      repositoryUri: `123456789012.dkr.ecr.${region}.amazonaws.com/${repositoryName}`,
    });
    expect(repository?.createdAt?.getTime()).toBeGreaterThan(Date.now() - 60_000);

    const named = { repositoryName };
    await expect(client.send(new GetRepositoryPolicyCommand(named))).rejects.toMatchObject({
      name: 'RepositoryPolicyNotFoundException',
    });
    await expect(client.send(new GetLifecyclePolicyCommand(named))).rejects.toMatchObject({
      name: 'LifecyclePolicyNotFoundException',
    });
    await client.send(new SetRepositoryPolicyCommand({ ...named, policyText }));
    await client.send(new PutLifecyclePolicyCommand({ ...named, lifecyclePolicyText }));
    await client.send(new TagResourceCommand({ resourceArn, tags: [{ Key: 'hash', Value: 'abc' }] }));
    await client.send(new PutImageTagMutabilityCommand({ ...named, imageTagMutability: 'IMMUTABLE' }));
    await client.send(
      new PutImageScanningConfigurationCommand({ ...named, imageScanningConfiguration: { scanOnPush: false } }),
    );
    expect((await client.send(new GetRepositoryPolicyCommand(named))).policyText).toBe(policyText);
    expect((await client.send(new GetLifecyclePolicyCommand(named))).lifecyclePolicyText).toBe(lifecyclePolicyText);
    expect((await client.send(new ListTagsForResourceCommand({ resourceArn }))).tags).toEqual([
      { Key: 'team', Value: 'platform' },
      { Key: 'hash', Value: 'abc' },
    ]);
    const { repositories } = await client.send(new DescribeRepositoriesCommand({ repositoryNames: [repositoryName] }));
    expect(repositories?.[0]).toMatchObject({
      imageTagMutability: 'IMMUTABLE',
      imageScanningConfiguration: { scanOnPush: false },
    });
    expect(repositories?.[0]?.imageTagMutabilityExclusionFilters).toBeUndefined();
    expect(control.calls('CreateRepository')).toMatchObject([
      { service: 'ecr', region, accessKey: USER.accessKeyId, parameters: asked, outcome: 'ok' },
    ]);

    await expect(client.send(new CreateRepositoryCommand(named))).rejects.toMatchObject({
      name: 'RepositoryAlreadyExistsException',
      message: `The repository with name '${repositoryName}' already exists in the registry with id '123456789012'`,
    });
    await client.send(new DeleteRepositoryCommand(named));
    await expect(client.send(new SetRepositoryPolicyCommand({ ...named, policyText }))).rejects.toMatchObject({
      name: 'RepositoryNotFoundException',
    });
  });

  it('are listed in pages', async () => {
    const control = await start();
    for (let i = 0; i < 25; i += 1) control.repositories.create(control.account, region, `app-${i}`, {});
    const names: (string | undefined)[] = [];
    for await (const page of paginateDescribeRepositories({ client: ecr(control), pageSize: 10 }, {})) {
      names.push(...(page.repositories ?? []).map(({ repositoryName }) => repositoryName));
    }
    expect(new Set(names).size).toBe(25);
    expect(control.calls('DescribeRepositories')).toHaveLength(3);
    expect(
      (await ecr(control, { region: 'us-east-1' }).send(new DescribeRepositoriesCommand({}))).repositories,
    ).toEqual([]);
  });

  it.each<[string, Partial<CreateRepositoryCommandInput>, string]>([
    ['an upper-case name', { repositoryName: 'App' }, 'InvalidParameterException'],
    ['two separators', { repositoryName: 'a__b' }, 'InvalidParameterException'],
    ['a colon', { repositoryName: 'a:5000/b' }, 'InvalidParameterException'],
    ['one character', { repositoryName: 'a' }, 'InvalidParameterException'],
    ['257 characters', { repositoryName: 'a'.repeat(257) }, 'InvalidParameterException'],
    ['51 tags', { tags: Array.from({ length: 51 }, (_, i) => ({ Key: `k${i}`, Value: '' })) }, 'TooManyTagsException'],
    ['a tag of AWS’s', { tags: [{ Key: 'aws:x', Value: '' }] }, 'InvalidTagParameterException'],
    [
      'a tag twice',
      {
        tags: [
          { Key: 'x', Value: '' },
          { Key: 'x', Value: '' },
        ],
      },
      'InvalidTagParameterException',
    ],
    [
      'AES256 with a key',
      { encryptionConfiguration: { encryptionType: 'AES256', kmsKey: 'k' } },
      'InvalidParameterException',
    ],
    ['exclusion without filters', { imageTagMutability: 'IMMUTABLE_WITH_EXCLUSION' }, 'InvalidParameterException'],
    [
      'filters without exclusion',
      {
        imageTagMutability: 'IMMUTABLE',
        imageTagMutabilityExclusionFilters: [{ filterType: 'WILDCARD', filter: 'x' }],
      },
      'InvalidParameterException',
    ],
    [
      'a filter that is none',
      {
        imageTagMutability: 'MUTABLE_WITH_EXCLUSION',
        imageTagMutabilityExclusionFilters: [{ filterType: 'WILDCARD', filter: 'a b' }],
      },
      'InvalidParameterException',
    ],
  ])('refuse %s', async (_what, input, name) => {
    const control = await start();
    const command = new CreateRepositoryCommand({ repositoryName: 'app', ...input });
    await expect(ecr(control).send(command)).rejects.toMatchObject({ name });
    expect(control.repositories.list(control.account, region)).toEqual([]);
  });

  it.each([
    ['no JSON', '{'],
    ['a Resource', '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*","Resource":"*"}]}'],
    ['too many characters', `{"Statement":[]}${' '.repeat(10_240)}`],
  ])('refuse an access policy with %s', async (_what, policyText) => {
    const control = await start();
    control.repositories.create(control.account, region, 'app', {});
    const command = new SetRepositoryPolicyCommand({ repositoryName: 'app', policyText });
    await expect(ecr(control).send(command)).rejects.toMatchObject({
      name: 'InvalidParameterException',
      message: expect.stringContaining('Invalid repository policy provided') as string,
    });
  });

  it('are limited by the quota', async () => {
    const control = await start();
    control.repositories.quota = 1;
    await ecr(control).send(new CreateRepositoryCommand({ repositoryName: 'one' }));
    const second = ecr(control).send(new CreateRepositoryCommand({ repositoryName: 'two' }));
    await expect(second).rejects.toMatchObject({ name: 'LimitExceededException' });
  });

  it('have the account’s settings', async () => {
    const control = await start();
    control.settings.set('BLOB_MOUNTING', 'ENABLED');
    const answer = await ecr(control).send(new GetAccountSettingCommand({ name: 'BLOB_MOUNTING' }));
    expect(answer).toMatchObject({ name: 'BLOB_MOUNTING', value: 'ENABLED' });
  });
});

describe('identity', () => {
  it('with access keys is checked by signature, region and service', async () => {
    const control = await start();
    const command = new DescribeRepositoriesCommand({});
    const unknown = { ...USER, accessKeyId: 'AKIAUNKNOWN' };
    await expect(ecr(control, { credentials: unknown }).send(command)).rejects.toMatchObject({
      name: 'UnrecognizedClientException',
    });
    const wrong = { ...USER, secretAccessKey: 'guessed' };
    await expect(ecr(control, { credentials: wrong }).send(command)).rejects.toMatchObject({
      name: 'InvalidSignatureException',
    });
    await expect(ecr(control, { region: 'eu-west-1' }).send(command)).rejects.toMatchObject({
      name: 'InvalidSignatureException',
      message: expect.stringContaining('valid region') as string,
    });
    await expect(sts(control, wrong).send(new GetCallerIdentityCommand({}))).rejects.toMatchObject({
      name: 'SignatureDoesNotMatch',
    });
  });

  it('of a role is assumed with new keys, which are valid until they expire', async () => {
    const control = await start({ roles: [{ arn: OTHER, externalId: 'agreed' }] });
    const assume = { RoleArn: OTHER, RoleSessionName: 'image-swapper' };
    await expect(sts(control).send(new AssumeRoleCommand(assume))).rejects.toMatchObject({
      name: 'AccessDenied',
      message: expect.stringContaining(`perform: sts:AssumeRole on resource: ${OTHER}`) as string,
    });
    const { Credentials: given } = await sts(control).send(new AssumeRoleCommand({ ...assume, ExternalId: 'agreed' }));
    const credentials = {
      accessKeyId: given?.AccessKeyId ?? '',
      secretAccessKey: given?.SecretAccessKey ?? '',
      sessionToken: given?.SessionToken ?? '',
    };
    const identity = await sts(control, credentials).send(new GetCallerIdentityCommand({}));
    expect(identity).toMatchObject({
      Account: '210987654321',
      Arn: 'arn:aws:sts::210987654321:assumed-role/images/image-swapper',
    });
    const answer = await ecr(control, { credentials }).send(new GetAuthorizationTokenCommand({}));
    const [data] = answer.authorizationData ?? [];
    expect(data?.proxyEndpoint).toBe(`https://210987654321.dkr.ecr.${region}.amazonaws.com`);
    const [user, password = ''] = Buffer.from(data?.authorizationToken ?? '', 'base64')
      .toString()
      .split(':');
    expect(user).toBe('AWS');
    expect(control.tokens.state(password)).toBe('valid');
    expect(control.tokens.find(password)?.arn).toBe(identity.Arn);
    expect(Math.abs((data?.expiresAt?.getTime() ?? 0) - Date.now() - 12 * 3_600_000)).toBeLessThan(10_000);
    control.identities.expireSessions();
    const later = ecr(control, { credentials }).send(new GetAuthorizationTokenCommand({}));
    await expect(later).rejects.toMatchObject({ name: 'ExpiredTokenException' });
  });

  it('for ECR Public has one API', async () => {
    const control = await start();
    const client = new ECRPUBLICClient({ endpoint: control.origin, region: 'us-east-1', credentials: USER });
    cleanups.push(() => client.destroy());
    const { authorizationData } = await client.send(new GetPublicAuthorizationTokenCommand({}));
    const token = Buffer.from(authorizationData?.authorizationToken ?? '', 'base64').toString();
    expect(control.tokens.find(token.replace('AWS:', ''))?.region).toBe('public');
    expect(control.calls()).toMatchObject([{ service: 'ecr-public', region: 'us-east-1', outcome: 'ok' }]);
  });

  it('with a web identity needs a token that the role accepts', async () => {
    const control = await start({ roles: [{ arn: ROLE, webIdentityTokens: ['good'] }] });
    const assume = { RoleArn: ROLE, RoleSessionName: 'pod' };
    const client = sts(control, undefined);
    const bad = client.send(new AssumeRoleWithWebIdentityCommand({ ...assume, WebIdentityToken: 'bad' }));
    await expect(bad).rejects.toMatchObject({ name: 'AccessDenied' });
    const good = await client.send(new AssumeRoleWithWebIdentityCommand({ ...assume, WebIdentityToken: 'good' }));
    expect(good.AssumedRoleUser?.Arn).toBe('arn:aws:sts::123456789012:assumed-role/mirror/pod');
  });

  it.each<[string, (control: EcrControl) => Readonly<Record<string, string>>, RegExp]>([
    ['static keys', (control) => control.userEnv, /:user\/mirror$/],
    ['web identity', (control) => control.webIdentityEnv(ROLE), /assumed-role\/mirror\//],
    ['Pod Identity', (control) => control.podIdentityEnv, /assumed-role\/mirror\/eks-pod$/],
    ['a shared profile', (control) => control.profileEnv(), /:user\/mirror$/],
  ])('comes from the environment by %s, in the SDK’s default chain', async (_what, env, arn) => {
    const control = await start({ roles: [{ arn: ROLE, webIdentityTokens: ['good'] }], podIdentityRole: ROLE });
    // The test needs another process because the chain reads the environment of its process.
    const program = `
      import { ECRClient, GetAuthorizationTokenCommand } from '@aws-sdk/client-ecr';
      await new ECRClient({ region: '${region}' }).send(new GetAuthorizationTokenCommand({}));`;
    await run(process.execPath, ['--input-type=module', '-e', program], {
      env: { PATH: process.env['PATH'] ?? '', AWS_REGION: region, ...control.env, ...env(control) },
      cwd: process.cwd(),
    });
    const [call] = control.calls('GetAuthorizationToken');
    expect(call).toMatchObject({ region, outcome: 'ok', arn: expect.stringMatching(arn) as string });
  });
});

describe('faults', () => {
  const create = new CreateRepositoryCommand({ repositoryName: 'app' });

  it('with errors end after the given number of calls, and the SDK retries', async () => {
    const control = await start();
    control.fault({ action: 'CreateRepository', times: 2, fault: { type: 'error', code: 'ThrottlingException' } });
    await ecr(control, { maxAttempts: 5 }).send(create);
    expect(control.calls('CreateRepository').map(({ outcome }) => outcome)).toEqual([
      'ThrottlingException',
      'ThrottlingException',
      'ok',
    ]);
  });

  it('that deny access use AWS’s message, for one repository or identity', async () => {
    const control = await start();
    control.fault({ action: 'CreateRepository', repository: 'app', fault: { type: 'denied' } });
    await expect(ecr(control).send(create)).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message:
        'User: arn:aws:iam::123456789012:user/mirror is not authorized to perform: ecr:CreateRepository on resource: ' +
        `arn:aws:ecr:${region}:123456789012:repository/app because no identity-based policy allows the ecr:CreateRepository action`,
    });
    await ecr(control).send(new CreateRepositoryCommand({ repositoryName: 'other' }));
  });

  it.each<[string, ControlFault, string]>([
    ['500', { type: 'error', code: 'ServerException', status: 500 }, 'ServerException'],
    ['too many requests', { type: 'error', code: 'TooManyRequestsException', status: 429 }, 'TooManyRequestsException'],
    ['an expired token', { type: 'error', code: 'ExpiredTokenException' }, 'ExpiredTokenException'],
    ['a reset', { type: 'reset' }, 'TimeoutError'],
  ])('can be %s', async (_what, fault, name) => {
    const control = await start();
    control.fault({ action: 'CreateRepository', fault });
    await expect(ecr(control).send(create)).rejects.toMatchObject({ name });
    expect(control.repositories.list(control.account, region)).toEqual([]);
    control.clearFaults();
    await ecr(control).send(create);
  });

  it('that lose the response have executed the request: the next attempt finds that it exists', async () => {
    const control = await start();
    control.fault({ action: 'CreateRepository', times: 1, fault: { type: 'lost' } });
    await expect(ecr(control, { maxAttempts: 3 }).send(create)).rejects.toMatchObject({
      name: 'RepositoryAlreadyExistsException',
    });
    expect(control.calls('CreateRepository').map(({ outcome }) => outcome)).toEqual([
      'lost',
      'RepositoryAlreadyExistsException',
    ]);
  });

  it('that hang never answer', async () => {
    const control = await start();
    control.fault({ fault: { type: 'hang' } });
    const sent = ecr(control).send(create, { abortSignal: AbortSignal.timeout(200) });
    await expect(sent).rejects.toMatchObject({ name: 'AbortError' });
    expect(control.calls('CreateRepository')).toMatchObject([{ outcome: 'hang' }]);
  });

  it('can be a rate limit', async () => {
    const control = await start({ rates: { DescribeRepositories: 3 } });
    const client = ecr(control);
    const names = await Promise.all(
      Array.from({ length: 5 }, () =>
        client.send(new DescribeRepositoriesCommand({})).then(
          () => 'ok',
          (error: Error) => error.name,
        ),
      ),
    );
    expect(names.sort()).toEqual(['ThrottlingException', 'ThrottlingException', 'ok', 'ok', 'ok']);
  });
});

describe('images', () => {
  it('are shown by status, and a push restores them from the archive', async () => {
    const control = await start();
    const client = ecr(control);
    const { repositoryArn: arn } = control.repositories.create('123456789012', region, 'app', {});
    const digest = `sha256:${'1'.repeat(64)}`;
    control.images.pushed(arn, digest, '1.0');
    control.images.setStatus(arn, '1.0', 'ARCHIVED');
    const imageIds = [{ imageTag: '1.0' }];
    const shown = async (filter?: DescribeImagesFilter): Promise<unknown> => {
      const input = { repositoryName: 'app', imageIds, ...(filter !== undefined && { filter }) };
      return (await client.send(new DescribeImagesCommand(input))).imageDetails;
    };
    expect(await shown()).toEqual([]);
    expect(await shown({ imageStatus: 'ANY' })).toEqual([
      { imageDigest: digest, imageTags: ['1.0'], imageStatus: 'ARCHIVED', lastArchivedAt: new Date('2026-09-01') },
    ]);
    control.images.pushed(arn, digest, '1.0');
    expect(await shown()).toMatchObject([{ imageStatus: 'ACTIVE' }]);
    const missing = { repositoryName: 'app', imageIds: [{ imageTag: '2.0' }] };
    await expect(client.send(new DescribeImagesCommand(missing))).rejects.toMatchObject({
      name: 'ImageNotFoundException',
    });
  });
});
