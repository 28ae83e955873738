import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ACCOUNT,
  accessPolicy as pullPolicy,
  ECR_HOST,
  EcrWorld,
  lifecyclePolicy,
  REGION,
} from '../../fakes/ecr-world.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import { BUNDLE } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

/** The built service with ECR. The tests check the calls to the API and the content of the registry. */

const ROLE = 'arn:aws:iam::123456789012:role/mirror';
const accessPolicy = pullPolicy();
const POLICIES_TAG = 'image-swapper.io/policies';

let world: EcrWorld;
let image: BuiltImage;
let app: string;

beforeEach(async () => {
  world = await EcrWorld.start({ control: { roles: [{ arn: ROLE }] } });
  image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layerSize: 10_000 });
  loadImage(world.source, 'app', image, '1.0');
  loadImage(world.source, 'app', image, '1.1');
  app = `${world.source.host}/app:1.0`;
});
afterEach(async () => {
  await world.close();
});

const inEcr = (tag: string): string | undefined => world.target.manifest(world.repository('app'), tag)?.digest;
const repositoryTags = (): Record<string, string> => {
  const found = world.control.repositories.find(ACCOUNT, REGION, world.repository('app'));
  return Object.fromEntries((found?.tags ?? []).map(({ Key, Value }) => [Key, Value]));
};

describe('a repository that a push finds missing', () => {
  it('is created with every option, gets its policies, and the image', async () => {
    const service = await world.serve(
      world.config({
        role: ROLE,
        ecrOptions: {
          tags: [{ key: 'team', value: 'platform' }],
          imageTagMutability: 'IMMUTABLE_WITH_EXCLUSION',
          imageTagMutabilityExclusionFilters: [{ filterType: 'WILDCARD', filter: 'latest*' }],
          imageScanningConfiguration: { imageScanOnPush: false },
          encryptionConfiguration: { encryptionType: 'KMS', kmsKey: 'alias/mirror' },
          accessPolicy,
          lifecyclePolicy,
        },
      }),
    );
    expect(await world.mirror(service, app)).toMatchObject({ state: 'done' });
    expect(inEcr('1.0')).toBe(image.digest);
    await until('the policies are set', () => world.control.calls('TagResource').length === 1);

    const name = { registryId: ACCOUNT, repositoryName: world.repository('app') };
    expect(world.control.calls('CreateRepository')).toMatchObject([
      {
        region: REGION,
        arn: expect.stringContaining('assumed-role/mirror/image-swapper') as string,
        parameters: {
          ...name,
          tags: [
            { Key: 'team', Value: 'platform' },
            { Key: POLICIES_TAG, Value: 'pending' },
          ],
          imageTagMutability: 'IMMUTABLE_WITH_EXCLUSION',
          imageTagMutabilityExclusionFilters: [{ filterType: 'WILDCARD', filter: 'latest*' }],
          imageScanningConfiguration: { scanOnPush: false },
          encryptionConfiguration: { encryptionType: 'KMS', kmsKey: 'alias/mirror' },
        },
      },
    ]);
    expect(world.control.calls('SetRepositoryPolicy')).toMatchObject([
      { parameters: { ...name, policyText: accessPolicy } },
    ]);
    expect(world.control.calls('PutLifecyclePolicy')).toMatchObject([
      { parameters: { ...name, lifecyclePolicyText: lifecyclePolicy } },
    ]);
    expect(repositoryTags()[POLICIES_TAG]).toMatch(/^[0-9a-f]{32}$/);
    // A cold image needs only these calls: the role, the login, the repository, two policies and the tag.
    expect(world.actions().sort()).toEqual([
      'AssumeRole',
      'CreateRepository',
      'GetAuthorizationToken',
      'PutLifecyclePolicy',
      'SetRepositoryPolicy',
      'TagResource',
    ]);
  });

  it('causes no call for the next image when it already exists', async () => {
    const service = await world.serve(world.config());
    await world.mirror(service, app);
    const before = world.control.log.length;
    expect(await world.mirror(service, app.replace('1.0', '1.1'))).toMatchObject({ state: 'done' });
    expect(inEcr('1.1')).toBe(image.digest);
    expect(world.actions().slice(before)).toEqual([]);
    expect(await world.admit(service, app)).toBe(`${ECR_HOST}/${world.repository('app')}:1.0`);
  });

  it('is used unchanged when someone else created it first', async () => {
    world.control.fault({
      action: 'CreateRepository',
      times: 1,
      fault: { type: 'lost' },
    });
    const service = await world.serve(world.config());
    expect(await world.mirror(service, app)).toMatchObject({ state: 'done' });
    expect(world.control.calls('CreateRepository').map(({ outcome }) => outcome)).toEqual([
      'lost',
      'RepositoryAlreadyExistsException',
    ]);
    expect(inEcr('1.0')).toBe(image.digest);
  });

  it('is created once, however many images are copied to it at once', async () => {
    for (let i = 0; i < 12; i += 1) loadImage(world.source, 'many', buildImage({ seed: i, layerSize: 1_000 }), `${i}`);
    const service = await world.serve(world.config({}, { mirror: { concurrency: 8 } }));
    const tags = Array.from({ length: 12 }, (_, i) => `${world.source.host}/many:${i}`);
    const rows = await Promise.all(tags.map((tag) => world.mirror(service, tag)));
    expect(rows.map(({ state }) => state)).toEqual(Array.from({ length: 12 }, () => 'done'));
    expect(world.control.calls('CreateRepository')).toHaveLength(1);
  });

  it('waits when AWS throttles, without an error', async () => {
    for (const code of ['ThrottlingException', 'TooManyRequestsException']) {
      world.control.fault({ action: 'CreateRepository', times: 1, fault: { type: 'error', code } });
    }
    const service = await world.serve(world.config());
    expect(await world.mirror(service, app)).toMatchObject({ state: 'done', attempts: 1 });
    expect(world.control.calls('CreateRepository')).toHaveLength(3);
  });
});

describe('a repository that cannot be created', () => {
  it.each([
    [
      'for a missing permission',
      { type: 'denied' },
      'forbidden',
      /ecr:CreateRepository on arn:aws:ecr:eu-central-1:123456789012:repository\/mirror\/.*"Action":"ecr:CreateRepository"/,
    ],
    [
      'for a quota',
      { type: 'error', code: 'LimitExceededException' },
      'refused',
      /has reached an ECR quota: .*request a higher quota/,
    ],
    ['for its key', { type: 'error', code: 'KmsException' }, 'forbidden', /kms:CreateGrant and kms:DescribeKey/],
  ] as const)('%s: the copy says what to do, and the Pod keeps its image', async (_, fault, reason, message) => {
    world.control.fault({ action: 'CreateRepository', fault });
    const service = await world.serve(world.config());
    const row = await world.mirror(service, app);
    expect(row).toMatchObject({ state: 'failed', attempts: 1, failure: { reason } });
    expect(row.failure?.message).toMatch(message);
    expect(row.failure?.message).not.toContain('check the credentials of target');
    // The service remembers the failure, so the next Pods do not cause more calls.
    for (let i = 0; i < 5; i += 1) expect(await world.admit(service, app)).toBeUndefined();
    expect(world.control.calls('CreateRepository')).toHaveLength(1);
    const metric = `image_swapper_repository_operations_total{registry="target default",action="create",outcome="${reason}"} 1`;
    expect(await world.metrics(service)).toContain(metric);
  });

  it('with mode preexisting nothing is created, and the message says so', async () => {
    const service = await world.serve(world.config({ repositories: { mode: 'preexisting' } }));
    const row = await world.mirror(service, app);
    expect(row).toMatchObject({ state: 'failed', failure: { reason: 'missing' } });
    expect(row.failure?.message).toContain('repositories.mode is preexisting: create it, or use mode api');
    expect(world.actions()).toEqual(['GetAuthorizationToken']);
  });

  it('with mode preexisting an image is copied to an existing repository', async () => {
    world.control.repositories.create(ACCOUNT, REGION, world.repository('app'), {});
    const ecrOptions = { accessPolicy, lifecyclePolicy };
    const service = await world.serve(world.config({ repositories: { mode: 'preexisting' }, ecrOptions }));
    expect(await world.mirror(service, app)).toMatchObject({ state: 'done' });
    expect(world.actions()).toEqual(['GetAuthorizationToken']);
  });
});

it('with mode createOnPush ECR creates the repository, and no call is made', async () => {
  await world.close();
  world = await EcrWorld.start({ gate: { createOnPush: true } });
  loadImage(world.source, 'app', image, '1.0');
  const service = await world.serve(world.config({ repositories: { mode: 'createOnPush' } }));
  expect(await world.mirror(service, `${world.source.host}/app:1.0`)).toMatchObject({ state: 'done' });
  expect(inEcr('1.0')).toBe(image.digest);
  expect(world.actions()).toEqual(['GetAuthorizationToken']);
});

describe('immutable tags', () => {
  const immutable = { ecrOptions: { imageTagMutability: 'IMMUTABLE' } };

  it('reject a tag whose source has moved: nothing is sent, the old image stays, and no loop begins', async () => {
    const service = await world.serve(world.config(immutable));
    await world.mirror(service, app);
    const other = buildImage({ seed: 7, layerSize: 10_000 });
    loadImage(world.source, 'app', other, '1.0');
    const uploads = world.gate.count('InitiateLayerUpload');
    await world.admit(service, app, { imagePullPolicy: 'Always' });
    await until('the conflict is seen', async () => (await world.settled(service, app)).state === 'failed');
    const row = await world.settled(service, app);
    expect(row).toMatchObject({ attempts: 1, failure: { reason: 'conflict' } });
    expect(row.failure?.message).toContain(`is immutable and refers to ${image.digest}`);
    for (let i = 0; i < 5; i += 1) {
      expect(await world.admit(service, app, { imagePullPolicy: 'Always' })).toContain(ECR_HOST);
    }
    expect(world.gate.count('InitiateLayerUpload')).toBe(uploads);
    expect(inEcr('1.0')).toBe(image.digest);
    const conflicts = () => service.log.filter(({ event }) => event === 'tag-conflict');
    await until('the conflict is logged', () => conflicts().length > 0);
    expect(conflicts()).toHaveLength(1);
    expect(await world.metrics(service)).toContain('copy_jobs_total{target="default",outcome="conflict"} 1');
  });

  it('accept the keeper tag of an image named by digest, also a second time', async () => {
    const byDigest = `${world.source.host}/app@${image.digest}`;
    const first = await world.serve(world.config(immutable));
    expect(await world.mirror(first, byDigest)).toMatchObject({ state: 'done' });
    const second = await world.serve(world.config(immutable));
    // If a lookup takes longer than the admission may wait, the image stays unchanged. The lookup continues for later
    // admissions.
    const swapped = `${ECR_HOST}/${world.repository('app')}@${image.digest}`;
    await until('the Pod is swapped', async () => (await world.admit(second, byDigest)) === swapped);
    expect(world.target.tags(world.repository('app'))).toEqual([`keep-${image.digest.slice(7, 19)}`]);
  });

  it('let two replicas copy the same image at once', async () => {
    const config = world.config(immutable);
    const [one, two] = await Promise.all([world.serve(config), world.serve(config)]);
    const rows = await Promise.all([world.mirror(one, app), world.mirror(two, app)]);
    expect(rows.map(({ state }) => state)).toEqual(['done', 'done']);
    expect(inEcr('1.0')).toBe(image.digest);
  });
});

describe('layers that another repository has', () => {
  beforeEach(() => {
    loadImage(world.source, 'copy', image, '1.0');
  });

  it('are mounted when the account allows it', async () => {
    world.control.settings.set('BLOB_MOUNTING', 'ENABLED');
    const service = await world.serve(world.config());
    await world.mirror(service, app);
    const sent = world.gate.count('CompleteLayerUpload');
    expect(await world.mirror(service, `${world.source.host}/copy:1.0`)).toMatchObject({ state: 'done' });
    expect(world.gate.count('CompleteLayerUpload')).toBe(sent);
    expect(world.gate.mounts).toEqual({ asked: image.blobs.length, granted: image.blobs.length });
  });

  it('are uploaded otherwise, without a second request to start', async () => {
    const service = await world.serve(world.config());
    await world.mirror(service, app);
    const begun = world.gate.count('InitiateLayerUpload');
    expect(await world.mirror(service, `${world.source.host}/copy:1.0`)).toMatchObject({ state: 'done' });
    expect(world.gate.mounts).toEqual({ asked: image.blobs.length, granted: 0 });
    // One upload finds that the repository is missing, and is sent again when it exists.
    const again = world.gate.log.filter(({ action, status }) => action === 'InitiateLayerUpload' && status === 404);
    const missing = again.filter(({ repository }) => repository === world.repository('copy')).length;
    expect(world.gate.count('InitiateLayerUpload') - begun).toBe(image.blobs.length + missing);
    expect(missing).toBeLessThanOrEqual(4);
  });
});

it('a dry run shows how long it takes under the quotas, and creates nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'image-swapper-plan-'));
  try {
    const file = join(folder, 'image-swapper.yaml');
    await writeFile(file, world.config({ quotas: { putImage: 2 } }));
    const args = [
      ...compileCacheFlags(),
      BUNDLE,
      'mirror',
      '--dry-run',
      '--config',
      file,
      '-o',
      'json',
      app,
      app.replace('1.0', '1.1'),
    ];
    const child = spawn(process.execPath, args, {
      env: { PATH: process.env['PATH'] ?? '', ...world.env, ...world.control.userEnv },
    });
    const { images, targets } = JSON.parse(await text(child.stdout)) as { images: unknown; targets: unknown };
    expect(images).toMatchObject([{ state: 'would-mirror' }, { state: 'would-mirror' }]);
    // Both tags name one image with an index and two manifests. The quota is two per second.
    const manifests = image.manifests.length;
    expect(targets).toMatchObject([
      { images: 2, manifests, blobs: image.blobs.length, seconds: manifests / 2, limitedBy: 'PutImage 2/s' },
    ]);
    expect(world.actions()).toEqual(['GetAuthorizationToken']);
    expect(new Set(world.proxy.log.map(({ method }) => method))).toEqual(new Set(['HEAD']));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
