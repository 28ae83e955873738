import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { GoogleCloud, POD_ACCOUNT, TARGET_CONFIG, TARGET_HOST, WRITER_PERMISSIONS } from '../../fakes/google/cloud.js';
import { buildImage } from '../../fakes/images.js';
import { runProgram } from '../../fakes/program.js';
import type { ProgramResult } from '../../fakes/program.js';

/**
 * `mirror` into Artifact Registry with each form of Google's credentials. The tests check what the fake Google services
 * receive.
 */

let google: GoogleCloud;
const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layerSize: 5_000 });
const KEY_ACCOUNT = 'robot@my-project-123.iam.gserviceaccount.com';
const USER = 'jane@example.com';

beforeEach(async () => {
  google = await GoogleCloud.start();
  for (const identity of [KEY_ACCOUNT, USER]) google.api.state.permissions.set(identity, new Set(WRITER_PERMISSIONS));
});
afterEach(async () => google.close());

async function writeConfig(gcp: Record<string, unknown>): Promise<string> {
  const config = join(google.folder, 'image-swapper.yaml');
  await writeFile(config, stringify({ target: { type: 'gcp', gcp: { ...TARGET_CONFIG, ...gcp } } }));
  return config;
}

async function mirror(
  gcp: Record<string, unknown>,
  env: Readonly<Record<string, string>>,
  images = [google.push(image)],
): Promise<ProgramResult> {
  return runProgram(['mirror', '--config', await writeConfig(gcp), ...images], env);
}

/** Runs `check`, which tries only once, unlike a copy. */
async function check(gcp: Record<string, unknown>, env: Readonly<Record<string, string>>): Promise<ProgramResult> {
  return runProgram(['check', '--online', '--config', await writeConfig(gcp)], env);
}

/** Returns the identities that pushed to the target. */
const pushers = (): readonly unknown[] => [
  ...new Set(google.targetPlane.requests.filter(({ method }) => method === 'PUT').map(({ identity }) => identity)),
];

function expectMirrored(): void {
  const repository = 'my-project-123/mirror/registry.example.com/app';
  expect(google.target.manifest(repository, '1.0')?.digest).toBe(image.digest);
}

/** Checks that the program's output does not contain a Google token. */
function expectNoTokens({ stdout, stderr }: ProgramResult): void {
  for (const token of google.tokens.all()) expect(stdout + stderr).not.toContain(token.slice(0, 20));
}

describe("Google's default credentials", () => {
  it('come from the metadata server without the proxy, in one request for all images', async () => {
    const images = ['app:1.0', 'app:1.1', 'other:2'].map((name) => google.push(image, name));
    const result = await mirror({}, google.env, images);
    expect(result).toMatchObject({ code: 0 });
    expectMirrored();
    expect(pushers()).toEqual([POD_ACCOUNT]);
    const requests = google.metadata.tokenRequests();
    expect(requests).toHaveLength(1);
    expect(requests[0]?.headers['metadata-flavor']).toBe('Google');
    expect(requests[0]?.query.get('scopes')).toBe('https://www.googleapis.com/auth/cloud-platform');
    expect(google.proxy.connects.filter(({ host }) => host === '127.0.0.1')).toEqual([]);
    expect(new Set(google.targetPlane.logins)).toEqual(new Set(['oauth2accesstoken']));
    // The configuration does not need the API.
    expect(google.api.requests).toEqual([]);
    expectNoTokens(result);
  });

  it('are awaited when they are late, as in the first seconds of a Pod', async () => {
    google.metadata.late = 1;
    const result = await mirror({}, google.env);
    expect(result).toMatchObject({ code: 0 });
    expect(result.stderr).toContain('HTTP 404: Service account not found');
    expectMirrored();
    expect(google.metadata.tokenRequests()).toHaveLength(2);
  });

  it.each([
    ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'],
    ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'],
  ])('come from the key of a service account that the variable names, with %s', async (variable, other) => {
    const file = await google.writeJson('key.json', google.auth.keyFile(KEY_ACCOUNT));
    const result = await mirror(
      {},
      {
        ...google.outside,
        GOOGLE_APPLICATION_CREDENTIALS: file,
        [variable]: join(google.folder, 'ca.crt'),
        [other]: '',
      },
    );
    expect(result).toMatchObject({ code: 0 });
    expectMirrored();
    expect(pushers()).toEqual([KEY_ACCOUNT]);
    expect(google.auth.grants).toEqual([{ host: 'oauth2.googleapis.com', grant: 'jwt-bearer', identity: KEY_ACCOUNT }]);
    expectNoTokens(result);
  });

  it('come from the file that the configuration names, before the variable', async () => {
    const file = await google.writeJson('key.json', google.auth.keyFile(KEY_ACCOUNT));
    const other = await google.writeJson(
      'other.json',
      google.auth.keyFile('other@my-project-123.iam.gserviceaccount.com'),
    );
    await mirror({ credentialsFile: file }, { ...google.outside, GOOGLE_APPLICATION_CREDENTIALS: other });
    expectMirrored();
    expect(pushers()).toEqual([KEY_ACCOUNT]);
  });

  it('come from another cloud by workload identity federation, with a token from a file', async () => {
    google.auth.subjectTokens.set('a-token-of-another-cloud', KEY_ACCOUNT);
    await writeFile(join(google.folder, 'subject'), 'a-token-of-another-cloud');
    const file = await google.writeJson('federation.json', {
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/aws',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'https://sts.googleapis.com/v1/token',
      credential_source: { file: join(google.folder, 'subject') },
    });
    const result = await mirror({}, { ...google.outside, GOOGLE_APPLICATION_CREDENTIALS: file });
    expect(result).toMatchObject({ code: 0 });
    expectMirrored();
    expect(pushers()).toEqual([KEY_ACCOUNT]);
    expect(google.auth.grants).toEqual([
      { host: 'sts.googleapis.com', grant: 'token-exchange', identity: KEY_ACCOUNT },
    ]);
  });

  it('come from the federation with a service account to impersonate', async () => {
    const federated = 'principal://iam.googleapis.com/pool/subject/app';
    google.auth.subjectTokens.set('a-token-of-another-cloud', federated);
    google.auth.impersonators.set(federated, [KEY_ACCOUNT]);
    await writeFile(join(google.folder, 'subject'), 'a-token-of-another-cloud');
    const file = await google.writeJson('federation.json', {
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/aws',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'https://sts.googleapis.com/v1/token',
      credential_source: { file: join(google.folder, 'subject') },
      service_account_impersonation_url: `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${KEY_ACCOUNT}:generateAccessToken`,
    });
    const result = await mirror({}, { ...google.outside, GOOGLE_APPLICATION_CREDENTIALS: file });
    expect(result).toMatchObject({ code: 0 });
    expect(pushers()).toEqual([KEY_ACCOUNT]);
  });

  it("come from a user's gcloud login in the home folder", async () => {
    google.auth.refreshTokens.set('1//refresh', USER);
    await mkdir(join(google.folder, '.config', 'gcloud'), { recursive: true });
    await google.writeJson('.config/gcloud/application_default_credentials.json', {
      type: 'authorized_user',
      client_id: '764086051850.apps.googleusercontent.com',
      client_secret: 'd-FL95Q19q7MQmFpd7hHD0Ty',
      refresh_token: '1//refresh',
      quota_project_id: 'billing-project',
    });
    const result = await mirror({}, google.outside);
    expect(result).toMatchObject({ code: 0 });
    expectMirrored();
    expect(pushers()).toEqual([USER]);
    expect(google.auth.grants).toEqual([{ host: 'oauth2.googleapis.com', grant: 'refresh_token', identity: USER }]);
  });

  it('come from a gcloud file with impersonation', async () => {
    google.auth.refreshTokens.set('1//refresh', USER);
    google.auth.impersonators.set(USER, [KEY_ACCOUNT]);
    const file = await google.writeJson('impersonation.json', {
      type: 'impersonated_service_account',
      service_account_impersonation_url: `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${KEY_ACCOUNT}:generateAccessToken`,
      source_credentials: {
        type: 'authorized_user',
        client_id: 'id',
        client_secret: 'secret',
        refresh_token: '1//refresh',
      },
      delegates: [],
    });
    const result = await mirror({}, { ...google.outside, GOOGLE_APPLICATION_CREDENTIALS: file });
    expect(result).toMatchObject({ code: 0 });
    expect(pushers()).toEqual([KEY_ACCOUNT]);
  });
});

describe('impersonation by the configuration', () => {
  it('acts as the service account with credentials of the metadata server', async () => {
    google.auth.impersonators.set(POD_ACCOUNT, [KEY_ACCOUNT]);
    const result = await mirror({ serviceAccount: KEY_ACCOUNT }, google.env);
    expect(result).toMatchObject({ code: 0 });
    expectMirrored();
    expect(pushers()).toEqual([KEY_ACCOUNT]);
    expect(google.auth.grants).toEqual([
      { host: 'iamcredentials.googleapis.com', grant: `impersonation by ${POD_ACCOUNT}`, identity: KEY_ACCOUNT },
    ]);
  });

  it('names the role that is missing', async () => {
    const result = await check({ serviceAccount: KEY_ACCOUNT }, google.env);
    expect(result.code).toBe(1);
    expect(result.stderr + result.stdout).toContain(
      `${TARGET_HOST}: ${KEY_ACCOUNT} cannot be impersonated with the metadata server: Permission ` +
        `'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).; grant ` +
        'roles/iam.serviceAccountTokenCreator on it to that identity',
    );
    expect(pushers()).toEqual([]);
    expectNoTokens(result);
  });
});

describe('invalid credentials', () => {
  it('a missing file is refused at its line and column before any request', async () => {
    const result = await mirror({ credentialsFile: '/nowhere/key.json' }, google.env);
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(
      /image-swapper\.yaml:7:22: target\.gcp\.credentialsFile: \/nowhere\/key\.json cannot be used: the file does not exist/,
    );
    expect(google.proxy.connects).toEqual([]);
    expect(google.metadata.requests).toEqual([]);
  });

  it('a file of the variable that is not JSON is refused', async () => {
    await writeFile(join(google.folder, 'key.json'), '{"type": "service_account",\n"private_key": secret}');
    const env = { ...google.env, GOOGLE_APPLICATION_CREDENTIALS: join(google.folder, 'key.json') };
    const result = await check({}, env);
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(
      /environment GOOGLE_APPLICATION_CREDENTIALS: .*key\.json is not JSON \(line 2, column 16\): expected a value/,
    );
    expect(result.stderr).not.toContain('secret');
  });

  it('a Pod without a service account is reported', async () => {
    google.metadata.mode = 'no-account';
    const result = await check({}, google.env);
    expect(result.code).toBe(1);
    expect(result.stderr + result.stdout).toMatch(
      /no token from the metadata server: .*check the annotation iam\.gke\.io\/gcp-service-account/,
    );
  });

  it('a revoked key is reported', async () => {
    const stale = google.auth.keyFile(KEY_ACCOUNT);
    google.auth.keyFile(KEY_ACCOUNT);
    const file = await google.writeJson('key.json', stale);
    const result = await check({}, { ...google.outside, GOOGLE_APPLICATION_CREDENTIALS: file });
    expect(result.code).toBe(1);
    const output = result.stderr + result.stdout;
    expect(output).toContain(
      `no token from GOOGLE_APPLICATION_CREDENTIALS ${file}: invalid_grant: Invalid JWT Signature.`,
    );
    expect(output).not.toContain('PRIVATE KEY');
  });

  it('missing credentials are reported', async () => {
    const result = await check({}, google.outside);
    expect(result.code).toBe(1);
    expect(result.stderr + result.stdout).toContain(
      `${TARGET_HOST}: no credentials file is set, and the metadata server at 127.0.0.1:9 does not answer ` +
        '(ECONNREFUSED): bind the ServiceAccount to a Google service account (Workload Identity), or set a ' +
        'credentials file in gcp.credentialsFile or GOOGLE_APPLICATION_CREDENTIALS',
    );
  });
});
