import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { rootCertificates } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ECR_HOST, EcrWorld } from '../../fakes/ecr-world.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { BUNDLE } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

/** The service's identity at AWS with every login method, as STS and ECR see it. */

const ACCOUNT_ROLE = 'arn:aws:iam::123456789012:role/service';
const OTHER_ROLE = 'arn:aws:iam::210987654321:role/central';

let world: EcrWorld;
let app: string;

beforeEach(async () => {
  world = await EcrWorld.start({
    control: {
      roles: [
        { arn: ACCOUNT_ROLE, webIdentityTokens: ['token-of-the-service-account'] },
        { arn: OTHER_ROLE, externalId: 'cluster-7' },
      ],
      podIdentityRole: ACCOUNT_ROLE,
    },
  });
  loadImage(world.source, 'app', buildImage({ layerSize: 1_000 }), '1.0');
  app = `${world.source.host}/app:1.0`;
});
afterEach(async () => {
  await world.close();
});

const NO_KEYS = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' };
/** Returns the identities that called an action. */
const callers = (action: string): (string | undefined)[] => world.control.calls(action).map(({ arn }) => arn);

describe('the identity of the service', () => {
  it.each<[string, () => Record<string, string>, string]>([
    ['static keys of a Secret', () => ({}), 'arn:aws:iam::123456789012:user/mirror'],
    [
      'the web identity of a ServiceAccount (IRSA)',
      () => ({ ...NO_KEYS, ...world.control.webIdentityEnv(ACCOUNT_ROLE) }),
      'arn:aws:sts::123456789012:assumed-role/service/',
    ],
    [
      'EKS Pod Identity',
      () => ({ ...NO_KEYS, ...world.control.podIdentityEnv }),
      'arn:aws:sts::123456789012:assumed-role/service/',
    ],
    [
      'a shared profile',
      () => ({ ...NO_KEYS, ...world.control.profileEnv() }),
      'arn:aws:iam::123456789012:user/mirror',
    ],
  ])('%s', async (_, env, arn) => {
    const service = await world.serve(world.config(), { env: env() });
    expect(await world.mirror(service, app)).toMatchObject({ state: 'done' });
    expect(callers('GetAuthorizationToken')).toEqual([expect.stringContaining(arn)]);
    expect(callers('CreateRepository')).toEqual([expect.stringContaining(arn)]);
  });

  it.each<[string, () => Record<string, string>]>([
    ['static keys', () => ({})],
    ['a web identity', () => ({ ...NO_KEYS, ...world.control.webIdentityEnv(ACCOUNT_ROLE) })],
    ['EKS Pod Identity', () => ({ ...NO_KEYS, ...world.control.podIdentityEnv })],
  ])('a role in another account, assumed with %s', async (_, env) => {
    const aws = { role: OTHER_ROLE, externalId: 'cluster-7', roleSessionName: 'mirror-eu' };
    const service = await world.serve(world.config(aws), { env: env() });
    expect(await world.mirror(service, app)).toMatchObject({ state: 'done' });
    expect(world.control.calls('AssumeRole')).toMatchObject([
      { parameters: { RoleArn: OTHER_ROLE, RoleSessionName: 'mirror-eu', ExternalId: 'cluster-7' } },
    ]);
    const assumed = 'arn:aws:sts::210987654321:assumed-role/central/mirror-eu';
    expect(callers('GetAuthorizationToken')).toEqual([assumed]);
    expect(callers('CreateRepository')).toEqual([assumed]);
  });

  it('a role is assumed again before its credentials end', async () => {
    // The SDK renews credentials in their last five minutes. These credentials expire sooner than that from the start.
    world.control.identities.sessionLife = 240_000;
    const service = await world.serve(world.config({ role: OTHER_ROLE, externalId: 'cluster-7' }));
    await world.mirror(service, app);
    expect(world.control.calls('AssumeRole').length).toBeGreaterThan(1);
    const keys = new Set(world.control.calls('CreateRepository').map(({ accessKey }) => accessKey));
    expect(keys).not.toContain(undefined);
    // The SDK may be renewing the credentials again at this moment. That call does not have an outcome yet.
    const failed = world.control.log.filter(({ outcome }) => outcome !== undefined && outcome !== 'ok');
    expect(failed).toEqual([]);
  });

  it('a role that may not be assumed: the copy names it, and what it needs', async () => {
    world.control.fault({ action: 'AssumeRole', fault: { type: 'denied' } });
    const service = await world.serve(world.config({ role: OTHER_ROLE, externalId: 'cluster-7' }));
    const row = await world.mirror(service, app);
    expect(row).toMatchObject({ state: 'failed', failure: { reason: 'forbidden' } });
    expect(row.failure?.message).toMatch(/sts:AssumeRole on arn:aws:iam::210987654321:role\/central.*trust policy/);
    expect(await world.admit(service, app)).toBeUndefined();
  });

  it.each<[string, Record<string, string>, string, RegExp]>([
    [
      'without any identity: the copy lists the login methods',
      {},
      'unauthorized',
      /no AWS credentials: provide a Secret with keys .*IRSA.*Pod Identity/,
    ],
    [
      'with EKS Pod Identity, without an association: the copy names the agent',
      {
        AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:9/v1/credentials',
        AWS_CONTAINER_AUTHORIZATION_TOKEN: 'x',
      },
      'unauthorized',
      /AWS_CONTAINER_CREDENTIALS_FULL_URI is set and gave no credentials: the EKS Pod Identity agent/,
    ],
    [
      'with IRSA, without the file of the token: the copy names the file',
      { AWS_ROLE_ARN: ACCOUNT_ROLE, AWS_WEB_IDENTITY_TOKEN_FILE: '/nowhere/token' },
      'unauthorized',
      /ENOENT.*\/nowhere\/token'; the file must be mounted/,
    ],
    [
      'with IRSA, and a trust policy for another ServiceAccount: the copy names the trust policy',
      { AWS_ROLE_ARN: OTHER_ROLE, AWS_WEB_IDENTITY_TOKEN_FILE: '/etc/hostname' },
      'forbidden',
      /the trust policy of the ServiceAccount's role \(AWS_ROLE_ARN\) must name/,
    ],
  ])('%s', async (_, env, reason, message) => {
    const service = await world.serve(world.config(), { env: { ...NO_KEYS, ...env } });
    const row = await world.mirror(service, app);
    expect(row).toMatchObject({ failure: { reason } });
    expect(row.failure?.message).toMatch(message);
  });
});

describe("the registry's login", () => {
  it('is fetched once for many copies and lookups', async () => {
    for (let i = 0; i < 10; i += 1) loadImage(world.source, `app${i}`, buildImage({ seed: i, layerSize: 500 }), '1');
    const service = await world.serve(world.config({ quotas: { putImage: 1000 } }));
    const images = Array.from({ length: 10 }, (_, i) => `${world.source.host}/app${i}:1`);
    await Promise.all(images.map((image) => world.mirror(service, image)));
    expect(world.control.calls('GetAuthorizationToken')).toHaveLength(1);
    const expiry = /auth_token_expiry_timestamp_seconds\{registry="target default"\} (\S+)/;
    const seconds = Number(expiry.exec(await world.metrics(service))?.[1]);
    expect(seconds * 1000 - Date.now()).toBeGreaterThan(11 * 3_600_000);
  });

  it('is renewed after half of its lifetime', async () => {
    world.control.tokens.life = 24_000;
    const service = await world.serve(world.config());
    await until('a second login', () => world.control.calls('GetAuthorizationToken').length === 2);
    const [first, second] = world.control.calls('GetAuthorizationToken');
    expect((second?.time ?? 0) - (first?.time ?? 0)).toBeGreaterThan(11_000);
    await until('it is counted', async () =>
      (await world.metrics(service)).includes('auth_refresh_total{registry="target default",outcome="renewed"} 2'),
    );
  });

  it('is retried after failures without a request or restart', async () => {
    world.control.fault({ action: 'GetAuthorizationToken', times: 2, fault: { type: 'denied' } });
    const service = await world.serve(world.config());
    await until('the third try', () => world.control.calls('GetAuthorizationToken').length === 3);
    expect(world.control.calls().map(({ outcome }) => outcome)).toEqual([
      'AccessDeniedException',
      'AccessDeniedException',
      'ok',
    ]);
    expect(await world.mirror(service, app)).toMatchObject({ state: 'done' });
    expect(await world.metrics(service)).toContain('auth_refresh_total{registry="target default",outcome="failed"} 2');
    const warnings = () => service.log.filter(({ message }) => message.includes('ecr:GetAuthorizationToken'));
    await until('both are logged', () => warnings().length >= 2);
    expect(warnings()).toHaveLength(2);
  });

  it('is fetched again when the registry has revoked it', async () => {
    const service = await world.serve(world.config());
    await world.mirror(service, app);
    loadImage(world.source, 'app', buildImage({ seed: 5, layerSize: 1_000 }), '2.0');
    world.control.tokens.expireAll();
    // The refusal of a login that is only seconds old is a real refusal. An older login may have been revoked, so the
    // service logs in again.
    await sleep(10_100);
    expect(await world.mirror(service, app.replace('1.0', '2.0'))).toMatchObject({ state: 'done', attempts: 1 });
    await until('one more login', () => world.control.calls('GetAuthorizationToken').length === 2);
  });

  it('never reaches a log, a metric or the list of mirrors', async () => {
    world.control.fault({ action: 'CreateRepository', times: 1, fault: { type: 'denied' } });
    const service = await world.serve(world.config({}, { logLevel: 'trace' }));
    await world.mirror(service, app);
    const given = world.control.tokens.all();
    expect(given.length).toBeGreaterThan(0);
    const output = JSON.stringify([service.log, await world.metrics(service), await world.mirrors(service)]);
    for (const password of [...given, world.control.userEnv['AWS_SECRET_ACCESS_KEY'] ?? '']) {
      expect(output).not.toContain(password.slice(0, 40));
    }
  });
});

describe('HTTP requests to AWS', () => {
  const API_HOSTS = [
    'api.ecr.eu-central-1.amazonaws.com',
    'sts.eu-central-1.amazonaws.com',
    'api.ecr-fips.us-east-1.amazonaws.com',
    'sts-fips.us-east-1.amazonaws.com',
    'ecr.eu-central-1.api.aws',
    'sts.eu-central-1.api.aws',
    'api.ecr.cn-north-1.amazonaws.com.cn',
    'sts.cn-north-1.amazonaws.com.cn',
    'api.ecr.us-gov-west-1.amazonaws.com',
    'sts.us-gov-west-1.amazonaws.com',
  ];
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-aws-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  /**
   * Runs `check --online` with AWS's real host names, which are reachable only through the proxy in the environment.
   */
  async function check(
    aws: string,
    env: Record<string, string> = {},
    /** File for the CA certificate of the proxy. */
    caFile?: string,
  ): Promise<{ code: number | null; stdout: string }> {
    await world.close();
    world = await EcrWorld.start({
      control: { regions: ['eu-central-1', 'us-east-1', 'cn-north-1', 'us-gov-west-1'] },
      hosts: Object.fromEntries(API_HOSTS.map((host) => [host, undefined])),
    });
    const { proxy } = world;
    for (const host of API_HOSTS) proxy.setBackend(host, world.control.origin);
    if (caFile !== undefined) await writeFile(caFile, proxy.ca);
    const file = join(folder, 'image-swapper.yaml');
    await writeFile(file, `target: {type: aws, aws: {accountId: "123456789012", ${aws}}}\n`);
    const child = spawn(
      process.execPath,
      [...compileCacheFlags(), BUNDLE, 'check', '--online', '--config', file, '-o', 'json'],
      {
        env: {
          PATH: process.env['PATH'] ?? '',
          AWS_EC2_METADATA_DISABLED: 'true',
          ...world.control.userEnv,
          ...proxy.env,
          ...env,
        },
      },
    );
    const [stdout, code] = await Promise.all([
      text(child.stdout),
      new Promise<number | null>((resolve) => child.on('exit', resolve)),
    ]);
    return { code, stdout };
  }

  it.each<[string, string, string]>([
    ['the usual', 'region: eu-central-1', 'api.ecr.eu-central-1.amazonaws.com'],
    ['FIPS', 'region: us-east-1, endpoint: fips', 'api.ecr-fips.us-east-1.amazonaws.com'],
    ['dual-stack', 'region: eu-central-1, endpoint: dual-stack', 'ecr.eu-central-1.api.aws'],
    ['China', 'region: cn-north-1', 'api.ecr.cn-north-1.amazonaws.com.cn'],
    ['GovCloud', 'region: us-gov-west-1', 'api.ecr.us-gov-west-1.amazonaws.com'],
  ])('goes to %s endpoint, through the proxy of the environment', async (_, aws, host) => {
    await check(aws);
    const opened = world.proxy.connects.filter(({ outcome }) => outcome === 'opened').map((connect) => connect.host);
    expect(opened).toContain(host);
    expect(world.control.calls('GetAuthorizationToken').length).toBeGreaterThan(0);
  });

  it('trusts AWS_CA_BUNDLE for the API and the registry', async () => {
    const { stdout } = await check('region: eu-central-1', { NODE_EXTRA_CA_CERTS: '' });
    expect(stdout).toContain('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    expect(stdout).toContain('set AWS_CA_BUNDLE to the file with its CA certificate');
    const bundle = join(folder, 'bundle.pem');
    await writeFile(bundle, world.proxy.ca);
    const again = spawn(
      process.execPath,
      [...compileCacheFlags(), BUNDLE, 'check', '--online', '--config', join(folder, 'image-swapper.yaml')],
      {
        env: {
          PATH: process.env['PATH'] ?? '',
          AWS_EC2_METADATA_DISABLED: 'true',
          ...world.control.userEnv,
          HTTPS_PROXY: world.proxy.url,
          AWS_CA_BUNDLE: bundle,
        },
      },
    );
    const output = await text(again.stdout);
    expect(output).toMatch(new RegExp(`ok +target default \\(${ECR_HOST.replaceAll('.', '\\.')}\\) +read`));
    expect(output).toMatch(/ok .* identity +arn:aws:iam::123456789012:user\/mirror/);
  });

  it.each([
    ['NODE_EXTRA_CA_CERTS, beside another AWS_CA_BUNDLE', 'NODE_EXTRA_CA_CERTS', rootCertificates[0] ?? ''],
    ['SSL_CERT_FILE', 'SSL_CERT_FILE', ''],
  ])('trusts %s for the API', async (_, variable, bundle) => {
    const [own, other] = [join(folder, 'own.pem'), join(folder, 'other.pem')];
    await writeFile(other, bundle);
    const env = { NODE_EXTRA_CA_CERTS: '', ...(bundle !== '' && { AWS_CA_BUNDLE: other }), [variable]: own };
    const { stdout } = await check('region: eu-central-1', env, own);
    expect(stdout).toContain('arn:aws:iam::123456789012:user/mirror');
  });

  it('names the file of AWS_CA_BUNDLE when it cannot be read', async () => {
    const { code } = await check('region: eu-central-1', { AWS_CA_BUNDLE: '/nowhere/bundle.pem' });
    expect(code).toBe(2);
  });
});
