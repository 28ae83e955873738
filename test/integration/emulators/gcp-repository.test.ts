import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import {
  ADMIN_PERMISSIONS,
  REPO_ADMIN_PERMISSIONS,
  GoogleCloud,
  POD_ACCOUNT,
  TARGET_CONFIG,
  TARGET_HOST,
  TARGET_REPOSITORY,
  WRITER_PERMISSIONS,
} from '../../fakes/google/cloud.js';
import { buildImage } from '../../fakes/images.js';
import { runProgram } from '../../fakes/program.js';
import type { ProgramResult } from '../../fakes/program.js';

/**
 * The built program creates and updates the target repository with Artifact Registry's API. The tests check the calls.
 */

let google: GoogleCloud;
const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layersPerPlatform: 3, layerSize: 5_000 });
const READER = 'serviceAccount:nodes@my-project-123.iam.gserviceaccount.com';
const KMS_KEY = 'projects/my-project-123/locations/europe/keyRings/ring/cryptoKeys/key';

const SETTINGS = {
  repository: {
    description: 'Mirrored images',
    labels: [{ key: 'team', value: 'platform' }],
    immutableTags: true,
    vulnerabilityScanning: 'disabled',
  },
  cleanupPolicies: [
    {
      name: 'old',
      action: 'delete',
      condition: { tagState: 'any', olderThan: '2160h', packagePrefixes: ['docker.io'] },
    },
    { name: 'recent', action: 'keep', mostRecentVersions: { keepCount: 5 } },
  ],
  cleanupDryRun: true,
} as const;

const POLICIES = {
  old: {
    id: 'old',
    action: 'DELETE',
    condition: {
      tagState: 'ANY',
      tagPrefixes: [],
      packageNamePrefixes: ['docker.io'],
      versionNamePrefixes: [],
      olderThan: { seconds: '7776000' },
    },
  },
  recent: { id: 'recent', action: 'KEEP', mostRecentVersions: { keepCount: 5, packageNamePrefixes: [] } },
};

beforeEach(async () => {
  google = await GoogleCloud.start();
});
afterEach(async () => google.close());

async function run(
  command: readonly string[],
  gcp: Record<string, unknown>,
  env: Readonly<Record<string, string>> = google.env,
  more: Record<string, unknown> = {},
): Promise<ProgramResult> {
  const config = join(google.folder, 'image-swapper.yaml');
  await writeFile(config, stringify({ target: { type: 'gcp', gcp: { ...TARGET_CONFIG, ...gcp } }, ...more }));
  return runProgram([...command, '--config', config], env);
}

const mirror = (gcp: Record<string, unknown>, names = ['app:1.0']): Promise<ProgramResult> =>
  run(['mirror', ...names.map((name) => google.push(image, name))], gcp);

const mirroredDigest = (): string | undefined =>
  google.target.manifest('my-project-123/mirror/registry.example.com/app', '1.0')?.digest;

const grant = (permissions: readonly string[]): void => {
  google.api.state.permissions.set(POD_ACCOUNT, new Set(permissions));
};

it('creates a missing repository through a proxy whose CA certificate is in SSL_CERT_FILE', async () => {
  google.api.state.repositories.clear();
  grant(ADMIN_PERMISSIONS);
  const env = { ...google.env, NODE_EXTRA_CA_CERTS: '', SSL_CERT_FILE: join(google.folder, 'ca.crt') };
  const result = await run(['mirror', google.push(image)], { createRepository: true }, env);
  expect(result).toMatchObject({ code: 0 });
  expect(mirroredDigest()).toBe(image.digest);
});

/** The same tests with gRPC (an endpoint without a proxy) and with REST (through the proxy). */
describe.each(['grpc', 'rest'] as const)('by %s', (transport) => {
  const endpoint = (): Record<string, unknown> => (transport === 'grpc' ? { endpoint: google.api.grpcEndpoint } : {});

  it('creates a missing repository once, as configured', async () => {
    google.api.state.repositories.clear();
    grant(ADMIN_PERMISSIONS);
    const kms = { ...SETTINGS, repository: { ...SETTINGS.repository, kmsKey: KMS_KEY } };
    const result = await mirror({ ...endpoint(), ...kms, createRepository: true }, ['app:1.0', 'app:2.0', 'other:1']);
    expect(result).toMatchObject({ code: 0 });
    expect(mirroredDigest()).toBe(image.digest);
    const created = google.api.requests.filter(({ method }) => method === 'CreateRepository');
    expect(created).toHaveLength(1);
    expect(created[0]).toMatchObject({
      transport,
      identity: POD_ACCOUNT,
      request: {
        parent: 'projects/my-project-123/locations/europe',
        repositoryId: 'mirror',
        repository: {
          format: 'DOCKER',
          mode: 'STANDARD_REPOSITORY',
          description: 'Mirrored images',
          labels: { team: 'platform' },
          kmsKeyName: KMS_KEY,
          dockerConfig: { immutableTags: true },
          vulnerabilityScanningConfig: { enablementConfig: 'DISABLED' },
          cleanupPolicies: POLICIES,
          cleanupPolicyDryRun: true,
        },
      },
    });
    // The repository has had these settings since its creation.
    expect(google.api.methods()).not.toContain('UpdateRepository');
  });

  it('creates it in a domain-scoped project', async () => {
    grant(ADMIN_PERMISSIONS);
    const result = await mirror({ ...endpoint(), projectId: 'example.com:my-team', createRepository: true });
    expect(result).toMatchObject({ code: 0 });
    expect(google.target.manifest('example.com/my-team/mirror/registry.example.com/app', '1.0')?.digest).toBe(
      image.digest,
    );
    expect(google.api.requests[0]?.request).toMatchObject({ parent: 'projects/example.com:my-team/locations/europe' });
  });

  it('restores only settings and readers that differ', async () => {
    grant(ADMIN_PERMISSIONS);
    google.api.state.repositories.set(TARGET_REPOSITORY, {
      name: TARGET_REPOSITORY,
      format: 'DOCKER',
      mode: 'STANDARD_REPOSITORY',
      description: 'Mirrored images',
      labels: { owner: 'somebody' },
      cleanupPolicies: { old: { id: 'old', action: 'DELETE', condition: { olderThan: { seconds: 60 } } } },
    });
    google.api.state.policies.set(TARGET_REPOSITORY, {
      version: 1,
      bindings: [
        { role: 'roles/artifactregistry.reader', members: ['user:jane@example.com'] },
        { role: 'roles/artifactregistry.writer', members: [`serviceAccount:${POD_ACCOUNT}`] },
      ],
      etag: Buffer.from('etag-7'),
    });
    const result = await mirror({ ...endpoint(), ...SETTINGS, readers: [READER] });
    expect(result).toMatchObject({ code: 0 });
    const calls = google.api.requests;
    expect(calls.map(({ method }) => method)).toEqual([
      'GetRepository',
      'GetIamPolicy',
      'SetIamPolicy',
      'UpdateRepository',
    ]);
    expect(new Set(calls.map((call) => call.transport))).toEqual(new Set([transport]));
    expect(calls[2]?.request).toMatchObject({
      resource: TARGET_REPOSITORY,
      policy: {
        bindings: [
          { role: 'roles/artifactregistry.writer', members: [`serviceAccount:${POD_ACCOUNT}`] },
          { role: 'roles/artifactregistry.reader', members: ['user:jane@example.com', READER] },
        ],
        etag: Buffer.from('etag-7'),
      },
    });
    expect(calls[3]?.request).toMatchObject({
      repository: {
        name: TARGET_REPOSITORY,
        labels: { owner: 'somebody', team: 'platform' },
        dockerConfig: { immutableTags: true },
        vulnerabilityScanningConfig: { enablementConfig: 'DISABLED' },
        cleanupPolicies: POLICIES,
        cleanupPolicyDryRun: true,
      },
      updateMask: {
        paths: [
          'labels',
          'docker_config',
          'vulnerability_scanning_config.enablement_config',
          'cleanup_policies',
          'cleanup_policy_dry_run',
        ],
      },
    });
    expect(result.stderr).toContain(
      'my-project-123/mirror had different settings for repository.labels, repository.immutableTags, ' +
        'repository.vulnerabilityScanning, cleanupPolicies, cleanupDryRun, readers: reset as configured',
    );
  });

  it('checks once and changes nothing when the repository is as configured', async () => {
    grant(ADMIN_PERMISSIONS);
    await mirror({ ...endpoint(), ...SETTINGS });
    google.api.requests.length = 0;
    const result = await mirror({ ...endpoint(), ...SETTINGS }, ['app:2.0', 'app:3.0', 'other:1', 'other:2']);
    expect(result).toMatchObject({ code: 0 });
    expect(google.api.methods()).toEqual(['GetRepository']);
  });

  it('copies without permission for the settings and names the role', async () => {
    grant(WRITER_PERMISSIONS);
    const result = await mirror({ ...endpoint(), ...SETTINGS });
    expect(result).toMatchObject({ code: 0 });
    expect(mirroredDigest()).toBe(image.digest);
    expect(google.api.methods()).toEqual(['GetRepository', 'UpdateRepository']);
    expect(result.stderr).toContain(`UpdateRepository of ${TARGET_REPOSITORY} failed: `);
    expect(result.stderr).toContain(
      '; grant roles/artifactregistry.admin on the repository (artifactregistry.repositories.update is needed)',
    );
  });

  it('names the role to grant after one request when it may not create the repository', async () => {
    google.api.state.repositories.clear();
    const result = await mirror({ ...endpoint(), createRepository: true });
    expect(result.code).toBe(1);
    expect(google.api.methods()).toEqual(['CreateRepository']);
    expect(result.stdout).toContain(`${TARGET_HOST}: CreateRepository of ${TARGET_REPOSITORY} failed: `);
    expect(result.stdout).toContain(
      '; grant roles/artifactregistry.admin on the project (artifactregistry.repositories.create is needed)',
    );
  });

  it('reports that the API is not enabled', async () => {
    google.api.state.repositories.clear();
    const message = 'Artifact Registry API has not been used in project 1234 before or it is disabled.';
    google.api.fault = { code: 7, message };
    const result = await mirror({ ...endpoint(), createRepository: true });
    expect(result.stdout).toContain('; enable artifactregistry.googleapis.com in the project');
  });

  it('continues when another replica created it first', async () => {
    google.api.state.repositories.clear();
    grant(ADMIN_PERMISSIONS);
    google.api.fault = { code: 6, message: 'the repository already exists' };
    google.targetPlane.missing = 1;
    const result = await mirror({ ...endpoint(), createRepository: true });
    expect(result).toMatchObject({ code: 0 });
    expect(google.api.methods()).toEqual(['CreateRepository']);
  });
});

describe('a target without settings', () => {
  it('makes no call, and says what to do when the repository is missing', async () => {
    google.api.state.repositories.clear();
    const result = await mirror({});
    expect(result.code).toBe(1);
    expect(result.stdout).toContain(
      `${TARGET_HOST}: the repository my-project-123/mirror does not exist: create it with format Docker, or set ` +
        'gcp.createRepository: true and grant roles/artifactregistry.admin on the project',
    );
    expect(google.api.requests).toEqual([]);
    expect(google.proxy.connects.filter(({ host }) => host === 'artifactregistry.googleapis.com')).toEqual([]);
  });

  it('does not change the settings when reconcilePolicies is false', async () => {
    const result = await mirror({ ...SETTINGS, reconcilePolicies: false });
    expect(result).toMatchObject({ code: 0 });
    expect(google.api.requests).toEqual([]);
  });
});

describe('check --online', () => {
  const check = (gcp: Record<string, unknown>): Promise<ProgramResult> => run(['check', '--online'], gcp);

  it('reports no problem', async () => {
    const result = await check({});
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(google.api.requests.at(-1)?.request).toMatchObject({
      resource: TARGET_REPOSITORY,
      permissions: ['artifactregistry.repositories.downloadArtifacts', 'artifactregistry.repositories.uploadArtifacts'],
    });
    expect(result.stdout).toMatch(/ok +target default \(europe-docker\.pkg\.dev\) +login +a token/);
    expect(result.stdout).toMatch(/ok .* push +may push/);
    expect(google.target.openUploads).toBe(0);
  });

  it('names the role that gc needs, and requires it only where gc deletes', async () => {
    const gc = { gc: { clusters: ['east'] } };
    const refused = await run(['check', '--online'], {}, google.env, gc);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toMatch(/REFUSED .* delete .*deleteArtifacts.* denied.*; allow the account to delete there/);
    expect(refused.stdout).toMatch(
      /permissions +artifactregistry\.repositories\.deleteArtifacts is missing: grant roles\/artifactregistry\.repoAdmin/,
    );
    expect((await check({})).code).toBe(0);
    grant(REPO_ADMIN_PERMISSIONS);
    const allowed = await run(['check', '--online'], {}, google.env, gc);
    expect(allowed).toMatchObject({ code: 0 });
    expect(allowed.stdout).toMatch(/ok .* delete +may list tags and delete images/);
  });

  it('names each missing permission and the role to grant', async () => {
    grant(['artifactregistry.repositories.get', 'artifactregistry.repositories.downloadArtifacts']);
    const result = await check({ ...SETTINGS, readers: [READER] });
    expect(result.code).toBe(1);
    const missing = result.stdout.split('\n').filter((line) => /^(MISSING|REFUSED|FAILED)/.test(line));
    expect(missing.map((line) => line.replace(/^[A-Z]+ +target default \(europe-docker\.pkg\.dev\) +/, ''))).toEqual([
      expect.stringMatching(/^push .*uploadArtifacts.* denied/),
      expect.stringMatching(
        /^permissions +artifactregistry\.repositories\.uploadArtifacts is missing: grant roles\/artifactregistry\.writer on the repository my-project-123\/mirror$/,
      ),
      expect.stringMatching(
        /^permissions +artifactregistry\.repositories\.update is missing: grant roles\/artifactregistry\.admin/,
      ),
      expect.stringMatching(/^permissions +artifactregistry\.repositories\.getIamPolicy is missing/),
      expect.stringMatching(/^permissions +artifactregistry\.repositories\.setIamPolicy is missing/),
      expect.stringMatching(/^policies +gcp\.repository\.description differs/),
      expect.stringMatching(
        /^policies +gcp\.repository\.labels differs from the repository's setting; the service sets it again$/,
      ),
      expect.stringMatching(/^policies +gcp\.repository\.immutableTags differs/),
      expect.stringMatching(/^policies +gcp\.repository\.vulnerabilityScanning differs/),
      expect.stringMatching(/^policies +gcp\.cleanupPolicies differs/),
      expect.stringMatching(/^policies +gcp\.cleanupDryRun differs/),
      expect.stringMatching(/^policies +.*GetIamPolicy of .* failed/),
    ]);
    expect(google.api.methods()).not.toContain('UpdateRepository');
  });

  it('reports a repository that is missing, or of another kind', async () => {
    google.api.state.repositories.clear();
    expect((await check({})).stdout).toMatch(
      /MISSING .*repository +my-project-123\/mirror does not exist: create it, or set gcp/,
    );
    const created = await check({ createRepository: true });
    expect(created).toMatchObject({ code: 0 });
    expect(created.stdout).toMatch(/repository +my-project-123\/mirror does not exist yet: the first push creates it/);
    google.api.state.repositories.set(TARGET_REPOSITORY, { name: TARGET_REPOSITORY, format: 'MAVEN' });
    expect((await check({})).stdout).toMatch(/MISSING .*repository +my-project-123\/mirror has the format MAVEN/);
    google.api.state.repositories.set(TARGET_REPOSITORY, { format: 'DOCKER', mode: 'REMOTE_REPOSITORY' });
    expect((await check({})).stdout).toMatch(/MISSING .*repository +my-project-123\/mirror is a REMOTE_REPOSITORY/);
  });

  it('makes no API call for what the registry itself reports', async () => {
    google.api.fault = { code: 7, message: 'Artifact Registry API has not been used in project 1 before.' };
    const result = await check({});
    expect(result).toMatchObject({ code: 0 });
    expect(result.stdout).toMatch(/ok .*repository +not checked: .*enable artifactregistry\.googleapis\.com/);
    expect(result.stdout).toMatch(/ok .*push +may push/);
  });
});
