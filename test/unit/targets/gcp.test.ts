import { describe, expect, it } from 'vitest';
import type { GcpConfig } from '../../../extension-service/src/kinds/gcp/config.js';
import { RenewedLogin } from '../../../extension-service/src/credentials/renewed-login.js';
import { neededPrograms } from '../../../extension-service/src/background/programs/needed.js';
import { cloudKeychain } from '../../../extension-service/src/kinds/cloud.js';
import type { CloudLogin } from '../../../extension-service/src/kinds/cloud.js';
import { artifactRegistryCovers, artifactRegistryOwns } from '../../../extension-service/src/kinds/gcp/hosts.js';
import { apiProblem, authProblem } from '../../../extension-service/src/kinds/gcp/problems.js';
import { missingReaders, withReaders } from '../../../extension-service/src/kinds/gcp/readers.js';
import { desiredRepository, settingsDrift } from '../../../extension-service/src/kinds/gcp/settings.js';
import { parse } from '../config/parsing.js';

const gcp: GcpConfig = {
  location: 'europe-west1',
  projectId: 'example.com:team',
  repositoryId: 'mirror',
  createRepository: false,
  reconcilePolicies: true,
  repository: { labels: [] },
  cleanupDryRun: false,
  readers: [],
};
const HOST = 'europe-west1-docker.pkg.dev';

describe("the registries that a login to Google's may be sent to", () => {
  it.each([
    [HOST, true],
    ['us-docker.pkg.dev', true],
    ['us-docker.pkg.dev:443', true],
    ['gcr.io', true],
    ['eu.gcr.io', true],
    ['us-docker.pkg.dev:8443', false],
    ['docker.pkg.dev.example.com', false],
    ['us-docker.pkg.dev.example.com', false],
    ['evil-gcr.io', false],
    ['a.b.gcr.io', false],
    ['us-npm.pkg.dev', false],
    ['docker.io', false],
  ])('%s: %s', (host, expected) => {
    expect(artifactRegistryCovers(gcp, true)(host, 'p/r/x')).toBe(expected);
    expect(artifactRegistryCovers(gcp, false)(host, 'p/r/x')).toBe(expected);
  });

  it("include only a source's own repository when it impersonates", () => {
    const covers = artifactRegistryCovers({ ...gcp, serviceAccount: 'a@b.iam.gserviceaccount.com' }, false);
    expect(covers(HOST, 'example.com/team/mirror/docker.io/library/nginx')).toBe(true);
    expect(covers(HOST, 'example.com/team/mirror2/x')).toBe(false);
    expect(covers('us-docker.pkg.dev', 'example.com/team/mirror/x')).toBe(false);
  });

  it('match its own repository by complete path segments', () => {
    const owns = artifactRegistryOwns(gcp);
    expect(owns(HOST, 'example.com/team/mirror/x')).toBe(true);
    expect(owns(`${HOST}:443`, 'example.com/team/mirror/x')).toBe(true);
    expect(owns(HOST, 'example.com/team/mirrors/x')).toBe(false);
    expect(owns(HOST, 'example.com/team/mirror')).toBe(true);
  });

  it.each([
    ['gcr.io', 'example.com/team/app', true],
    ['gcr.io:443', 'example.com/team/app', true],
    ['us-docker.pkg.dev', 'example.com/team/gcr.io/app', true],
    ['gcr.io', 'example.com/team2/app', false],
    ['us.gcr.io', 'example.com/team/app', false],
    ['us-docker.pkg.dev', 'example.com/team/app', false],
  ])("for a repository that replaces Container Registry's: %s/%s: %s", (host, repository, expected) => {
    const gcr = { ...gcp, location: 'us', repositoryId: 'gcr.io', serviceAccount: 'a@b.iam.gserviceaccount.com' };
    expect(artifactRegistryOwns(gcr)(host, repository)).toBe(expected);
    expect(artifactRegistryCovers(gcr, false)(host, repository)).toBe(expected);
  });
});

describe('several logins', () => {
  const cloud = (user: string, own: string, works = true): CloudLogin => ({
    covers: () => true,
    owns: (_, repository) => repository === own,
    login: new RenewedLogin(() =>
      works
        ? Promise.resolve({ credentials: { username: user, password: user }, expires: Date.now() + 3_600_000 })
        : Promise.reject(new Error(`no login for ${user}`)),
    ),
  });
  const users = async (clouds: readonly CloudLogin[], repository: string): Promise<readonly unknown[]> =>
    (await cloudKeychain(clouds).resolve(HOST, repository)).map((found) => ('username' in found ? found.username : ''));

  it("are tried with the repository's own first, then one other", async () => {
    const clouds = [cloud('a', 'x'), cloud('b', 'y'), cloud('target', 'z')];
    expect(await users(clouds, 'y')).toEqual(['b', 'target']);
    expect(await users(clouds, 'somewhere')).toEqual(['target']);
  });

  it('need their own, but no other', async () => {
    const clouds = [cloud('a', 'x', false), cloud('b', 'y')];
    await expect(users(clouds, 'x')).rejects.toThrow('no login for a');
    expect(await users([cloud('a', 'x', false)], 'somewhere')).toEqual([]);
  });
});

describe("failures of Google's services", () => {
  const call = {
    method: 'CreateRepository',
    resource: 'projects/p/locations/europe/repositories/mirror',
    permission: 'artifactregistry.repositories.create',
    role: 'roles/artifactregistry.admin',
    on: 'project',
  } as const;

  it.each<[string, number, string, string, string]>([
    ['PERMISSION_DENIED', 7, 'Permission denied on resource', 'forbidden', 'grant roles/artifactregistry.admin'],
    // GoogleCloudPlatform/cloud-sql-proxy#1686
    ['a perimeter', 7, 'vpcServiceControlsUniqueIdentifier: x', 'forbidden', 'VPC Service Controls'],
    ['an API that is off', 7, 'Artifact Registry API has not been used in project 1', 'forbidden', 'enable artifact'],
    ['no billing', 7, 'This API method requires billing to be enabled.', 'forbidden', 'enable billing'],
    // hashicorp/terraform-provider-google#13008
    [
      'a key',
      7,
      'Permission denied on Cloud KMS key.',
      'forbidden',
      'grant roles/cloudkms.cryptoKeyEncrypterDecrypter',
    ],
    // firebase/firebase-tools#6454
    ['an organization policy', 9, 'Constraint constraints/gcp.resourceLocations violated', 'forbidden', 'organization'],
    ['FAILED_PRECONDITION', 9, 'the repository is being deleted', 'invalid', 'is being deleted'],
    ['ABORTED', 10, 'concurrent change', 'server', 'concurrent change'],
    [
      'a certificate',
      14,
      'No connection: unable to verify the first certificate',
      'unreachable',
      'NODE_EXTRA_CA_CERTS',
    ],
    ['a proxy', 0, 'request failed, reason: Bad response: 403', 'unreachable', 'the proxy of HTTPS_PROXY refused'],
  ])('of the API: %s', (_, code, text, kind, remedy) => {
    const error = Object.assign(new Error(text), code === 0 ? {} : { code });
    const problem = apiProblem(HOST, call, error);
    expect(problem.kind).toBe(kind);
    expect(problem.message).toContain(remedy);
    expect(problem.message.includes('grant roles/artifactregistry')).toBe(
      remedy.includes('grant roles/artifactregistry'),
    );
  });

  it.each<[string, number, unknown, string]>([
    // googleapis/google-api-php-client#1429
    [
      'a clock',
      400,
      { error: 'invalid_grant', error_description: 'Invalid JWT: Token must be a short-lived token' },
      'clock',
    ],
    [
      'a revoked key',
      400,
      { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' },
      'may have been revoked',
    ],
    // googleapis/google-cloud-go#12440
    [
      'an old token',
      400,
      { error: 'invalid_grant', error_description: 'ID Token issued at 1 is stale to sign-in.' },
      'renewed',
    ],
    // google-github-actions/auth#202, #60
    [
      'no provider',
      400,
      { error: 'invalid_target', error_description: 'The target service is invalid.' },
      'workloadIdentityPools/POOL',
    ],
    [
      'an audience',
      400,
      { error: 'invalid_request', error_description: 'Invalid value for "audience".' },
      'workloadIdentityPools/POOL',
    ],
    [
      'a condition',
      400,
      {
        error: 'unauthorized_client',
        error_description: 'The given credential is rejected by the attribute condition.',
      },
      'does not accept this identity',
    ],
    // google-github-actions/auth#526
    [
      'no impersonation',
      403,
      { error: { message: "Permission 'iam.serviceAccounts.getAccessToken' denied on resource" } },
      'grant roles/iam.workloadIdentityUser',
    ],
  ])('of its token services: %s', (_, status, data, remedy) => {
    const error = Object.assign(new Error('Request failed'), { response: { status, data } });
    const { message, advised } = authProblem(error, { host: HOST, origin: 'the file', serviceAccount: undefined });
    expect(message).toContain(remedy);
    expect(advised).toBe(true);
    expect(message.includes('may have been revoked')).toBe(remedy === 'may have been revoked');
  });
});

describe('settings of a repository', () => {
  const configured: GcpConfig = {
    ...gcp,
    repository: { labels: [{ key: 'team', value: 'a' }], immutableTags: false },
    cleanupPolicies: [
      {
        name: 'old',
        action: 'delete',
        condition: {
          tagState: 'any',
          tagPrefixes: [],
          packagePrefixes: ['b', 'a'],
          versionPrefixes: [],
          olderThan: 60_000,
        },
      },
    ],
  };

  it('are equal in every spelling that the API has for them', () => {
    const policy = {
      id: 'old',
      condition: { olderThan: { seconds: '60', nanos: 0 }, packageNamePrefixes: ['a', 'b'] },
    };
    const common = { labels: { team: 'a', more: 'b' }, cleanupPolicyDryRun: false };
    const byName = { ...common, cleanupPolicies: { old: { ...policy, action: 'DELETE' as const } } };
    const byNumber = {
      ...common,
      cleanupPolicies: { old: { ...policy, action: 1, condition: { ...policy.condition, tagState: 3 } } },
    };
    const unspecified = {
      ...common,
      cleanupPolicies: {
        old: { ...policy, action: 1, condition: { ...policy.condition, tagState: 'TAG_STATE_UNSPECIFIED' as const } },
      },
    };
    for (const actual of [byName, byNumber, unspecified]) expect(settingsDrift(configured, actual)).toEqual([]);
    expect(settingsDrift(configured, desiredRepository(configured))).toEqual([]);
  });

  it.each([
    ['another age', { seconds: 61 }, 'DELETE'],
    ['another action', { seconds: 60 }, 'KEEP'],
  ] as const)('differ by %s', (_, olderThan, action) => {
    const old = { action, condition: { olderThan, packageNamePrefixes: ['a', 'b'] } };
    const actual = { labels: { team: 'a' }, cleanupPolicies: { old } };
    expect(settingsDrift(configured, actual).map(({ key }) => key)).toEqual(['cleanupPolicies']);
  });

  it('that are not configured stay unchanged', () => {
    const actual = { description: 'x', dockerConfig: { immutableTags: true }, cleanupPolicies: { a: {} } };
    expect(settingsDrift(gcp, actual)).toEqual([]);
    expect(desiredRepository(gcp, actual)).toEqual({});
  });

  it('report that a key can only be set on a new repository', () => {
    const withKey = { ...gcp, repository: { labels: [], kmsKey: 'k' } };
    expect(settingsDrift(withKey, {})).toEqual([{ key: 'repository.kmsKey', path: undefined }]);
  });

  it('grant readers the role without changing other grants and conditions', () => {
    const conditional = {
      role: 'roles/artifactregistry.reader',
      members: ['user:a@b'],
      condition: { expression: 'x' },
    };
    const policy = { bindings: [conditional], etag: 'e' };
    expect(missingReaders(policy, ['user:a@b'])).toEqual(['user:a@b']);
    const added = withReaders(policy, ['user:a@b']);
    expect(added).toEqual({
      bindings: [conditional, { role: 'roles/artifactregistry.reader', members: ['user:a@b'] }],
      etag: 'e',
    });
    expect(missingReaders(added, ['user:a@b'])).toEqual([]);
  });
});

describe("Google's program", () => {
  const programs = { kubernetes: 'k', aws: 'a', gcp: 'g' };
  const place = '{location: us, projectId: my-project, repositoryId: main}';

  it('is loaded into the background worker only for a Google target or source', () => {
    const other = parse('target: {type: oci, oci: {registry: r.example.com}}\n').config;
    expect(neededPrograms(other, programs)).toEqual({ kubernetes: 'k' });
    const target = parse(`target: {type: gcp, gcp: ${place}}\n`).config;
    expect(neededPrograms(target, programs)).toEqual({ kubernetes: 'k', gcp: 'g' });
    const source = `target: {type: oci, oci: {registry: r.example.com}}\nsource: {registries: [{type: gcp, gcp: ${place}}]}\n`;
    expect(neededPrograms(parse(source).config, programs)).toEqual({ kubernetes: 'k', gcp: 'g' });
  });
});
