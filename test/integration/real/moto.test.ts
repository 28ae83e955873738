import {
  CreateRepositoryCommand,
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
  type CreateRepositoryCommandInput,
} from '@aws-sdk/client-ecr';
import {
  ECRPUBLICClient,
  GetAuthorizationTokenCommand as GetPublicAuthorizationTokenCommand,
} from '@aws-sdk/client-ecr-public';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { ProxyAgent, request } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EcrGate } from '../../fakes/ecr-gate.js';
import { motoView } from '../../fakes/moto-view.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { TlsProxy } from '../../fakes/tls-proxy.js';
import { Moto, motoAvailable } from '../../tools/moto.js';

/** The parts of ECR's and STS's control planes that moto supports for the real SDK, and the parts that it does not. */

const available = await motoAvailable('ECR and STS against moto');
const region = 'eu-central-1';
const credentials = { accessKeyId: 'AKIATESTUSER00000001', secretAccessKey: 'secret' };
const cleanups: (() => void | Promise<void>)[] = [];
let moto: Moto;
let ecr: ECRClient;

describe.skipIf(!available)('moto', () => {
  beforeAll(async () => {
    moto = await Moto.start();
  });
  afterAll(() => moto.stop());
  beforeEach(async () => {
    await moto.reset();
    ecr = new ECRClient({ endpoint: moto.origin, region, credentials, maxAttempts: 1 });
    cleanups.push(() => ecr.destroy());
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  it('creates a repository with its settings and records the calls', async () => {
    const visible: CreateRepositoryCommandInput = {
      repositoryName: 'docker.io/library/nginx',
      imageTagMutability: 'IMMUTABLE_WITH_EXCLUSION',
      imageTagMutabilityExclusionFilters: [{ filterType: 'WILDCARD', filter: 'latest*' }],
      imageScanningConfiguration: { scanOnPush: true },
      encryptionConfiguration: { encryptionType: 'KMS_DSSE', kmsKey: 'alias/mirror' },
    };
    const tags = [{ Key: 'team', Value: 'platform' }];
    const asked = { ...visible, tags };
    const { repository } = await ecr.send(new CreateRepositoryCommand(asked));
    expect(repository).toMatchObject({ ...visible, registryId: '123456789012' });
    const resourceArn = repository?.repositoryArn;
    expect(resourceArn).toBe(`arn:aws:ecr:${region}:123456789012:repository/docker.io/library/nginx`);
    expect((await ecr.send(new ListTagsForResourceCommand({ resourceArn }))).tags).toEqual(tags);
    expect(moto.calls('CreateRepository')).toMatchObject([
      { service: 'ecr', region, accessKey: credentials.accessKeyId, parameters: asked, status: 200 },
    ]);
    const again = ecr.send(new CreateRepositoryCommand({ repositoryName: asked.repositoryName }));
    await expect(again).rejects.toMatchObject({ name: 'RepositoryAlreadyExistsException' });
    const illegal = ecr.send(new CreateRepositoryCommand({ repositoryName: 'a__b' }));
    await expect(illegal).rejects.toMatchObject({ name: 'InvalidParameterException' });
  });

  it('keeps policies, tags and settings that are set later', async () => {
    const repositoryName = 'app';
    const { repository } = await ecr.send(new CreateRepositoryCommand({ repositoryName }));
    const resourceArn = repository?.repositoryArn;
    const policyText = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Sid: 'pull', Effect: 'Allow', Principal: '*', Action: ['ecr:BatchGetImage'] }],
    });
    const selection = { tagStatus: 'untagged', countType: 'sinceImagePushed', countUnit: 'days', countNumber: 14 };
    const lifecyclePolicyText = JSON.stringify({ rules: [{ rulePriority: 1, selection, action: { type: 'expire' } }] });
    await ecr.send(new SetRepositoryPolicyCommand({ repositoryName, policyText }));
    await ecr.send(new PutLifecyclePolicyCommand({ repositoryName, lifecyclePolicyText }));
    await ecr.send(new TagResourceCommand({ resourceArn, tags: [{ Key: 'hash', Value: 'abc' }] }));
    await ecr.send(new PutImageTagMutabilityCommand({ repositoryName, imageTagMutability: 'IMMUTABLE' }));
    const imageScanningConfiguration = { scanOnPush: true };
    await ecr.send(new PutImageScanningConfigurationCommand({ repositoryName, imageScanningConfiguration }));
    const policy = await ecr.send(new GetRepositoryPolicyCommand({ repositoryName }));
    expect(JSON.parse(policy.policyText ?? '')).toEqual(JSON.parse(policyText));
    const lifecycle = await ecr.send(new GetLifecyclePolicyCommand({ repositoryName }));
    expect(JSON.parse(lifecycle.lifecyclePolicyText ?? '')).toEqual(JSON.parse(lifecyclePolicyText));
    const { tags } = await ecr.send(new ListTagsForResourceCommand({ resourceArn }));
    expect(tags).toEqual([{ Key: 'hash', Value: 'abc' }]);
    const { repositories } = await ecr.send(new DescribeRepositoriesCommand({ repositoryNames: [repositoryName] }));
    expect(repositories).toMatchObject([{ imageTagMutability: 'IMMUTABLE', imageScanningConfiguration }]);
    expect(moto.calls('SetRepositoryPolicy')[0]?.parameters).toEqual({ repositoryName, policyText });
    await expect(ecr.send(new SetRepositoryPolicyCommand({ repositoryName, policyText: '{' }))).rejects.toMatchObject({
      name: 'InvalidParameterException',
    });
  });

  it('assumes a role of another account with other repositories', async () => {
    const sts = new STSClient({ endpoint: moto.origin, region, credentials });
    cleanups.push(() => sts.destroy());
    const assume = { RoleArn: 'arn:aws:iam::210987654321:role/images', RoleSessionName: 'x', ExternalId: 'agreed' };
    const { Credentials: given } = await sts.send(new AssumeRoleCommand(assume));
    expect(moto.calls('AssumeRole')).toMatchObject([{ service: 'sts', parameters: assume }]);
    const role = {
      accessKeyId: given?.AccessKeyId ?? '',
      secretAccessKey: given?.SecretAccessKey ?? '',
      sessionToken: given?.SessionToken ?? '',
    };
    const other = new ECRClient({ endpoint: moto.origin, region, credentials: role });
    cleanups.push(() => other.destroy());
    await other.send(new CreateRepositoryCommand({ repositoryName: 'app' }));
    expect(moto.calls('CreateRepository')[0]?.accessKey).toBe(role.accessKeyId);
    expect((await ecr.send(new DescribeRepositoriesCommand({}))).repositories).toEqual([]);
    const [data] = (await other.send(new GetAuthorizationTokenCommand({}))).authorizationData ?? [];
    expect(data?.proxyEndpoint).toBe(`https://210987654321.dkr.ecr.${region}.amazonaws.com`);
    const asRole = new STSClient({ endpoint: moto.origin, region, credentials: role });
    cleanups.push(() => asRole.destroy());
    expect(await asRole.send(new GetCallerIdentityCommand({}))).toMatchObject({ Account: '210987654321' });
  });

  it('issues tokens that expire after twelve hours and that the gate in front of a registry accepts', async () => {
    const host = `123456789012.dkr.ecr.${region}.amazonaws.com`;
    const registry = await FakeRegistry.start();
    const proxy = await TlsProxy.start({ hosts: { [host]: registry.origin } });
    const gate = new EcrGate({ host, control: motoView(moto), backend: registry.origin });
    proxy.setHook(host, gate.hook);
    const dispatcher = new ProxyAgent({ uri: proxy.url, requestTls: { ca: proxy.ca } });
    cleanups.push(
      () => registry.close(),
      () => proxy.close(),
      () => dispatcher.destroy(),
    );
    const [data] = (await ecr.send(new GetAuthorizationTokenCommand({}))).authorizationData ?? [];
    expect(Math.abs((data?.expiresAt?.getTime() ?? 0) - Date.now() - 12 * 3_600_000)).toBeLessThan(10_000);
    const headers = { authorization: `Basic ${data?.authorizationToken ?? ''}` };
    const upload = async (): Promise<number> => {
      const url = `https://${host}/v2/app/blobs/uploads/`;
      return (await request(url, { dispatcher, method: 'POST', headers })).statusCode;
    };
    expect(await upload()).toBe(404);
    await ecr.send(new CreateRepositoryCommand({ repositoryName: 'app' }));
    expect(await upload()).toBe(202);
    expect(moto.calls('DescribeRepositories')).toEqual([]);
  });

  it('does not support account settings, ECR Public, pages or key checks, which the fake covers', async () => {
    const client = new ECRPUBLICClient({ endpoint: moto.origin, region: 'us-east-1', credentials, maxAttempts: 1 });
    cleanups.push(() => client.destroy());
    // For both calls, moto returns an error page, which the SDK reports as invalid JSON.
    const failed = { name: 'SyntaxError', $metadata: { httpStatusCode: 500 } };
    await expect(ecr.send(new GetAccountSettingCommand({ name: 'BLOB_MOUNTING' }))).rejects.toMatchObject(failed);
    await expect(client.send(new GetPublicAuthorizationTokenCommand({}))).rejects.toMatchObject(failed);
    for (const name of ['one', 'two', 'three']) {
      await ecr.send(new CreateRepositoryCommand({ repositoryName: name }));
    }
    const page = await ecr.send(new DescribeRepositoriesCommand({ maxResults: 1 }));
    expect([page.repositories?.length, page.nextToken]).toEqual([3, undefined]);
    const wrong = new ECRClient({
      endpoint: moto.origin,
      region,
      credentials: { ...credentials, secretAccessKey: 'x' },
    });
    cleanups.push(() => wrong.destroy());
    expect((await wrong.send(new DescribeRepositoriesCommand({}))).repositories).toHaveLength(3);
    const tags = Array.from({ length: 51 }, (_, i) => ({ Key: `k${i}`, Value: '' }));
    await ecr.send(new CreateRepositoryCommand({ repositoryName: 'tagged', tags }));
  });
});
