import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlFault } from '../../fakes/ecr-faults.js';
import { repositoryArn } from '../../fakes/ecr-repositories.js';
import { ACCOUNT, EcrWorld, REGION } from '../../fakes/ecr-world.js';
import { BUNDLE } from '../../fakes/service.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

/** The findings of `check --online` about the settings of an ECR registry: managed signing, pull times, creation templates. */

const PROFILE = `arn:aws:signer:${REGION}:${ACCOUNT}:/signing-profiles/mirror`;
const USER = `arn:aws:iam::${ACCOUNT}:user/mirror`;
const REPOSITORY = 'mirror/docker.io/library/nginx';
const DIGEST = `sha256:${'a'.repeat(64)}`;

interface Probe {
  readonly check: string;
  readonly ok: boolean;
  readonly message: string;
}

let world: EcrWorld;
let folder: string;

beforeEach(async () => {
  world = await EcrWorld.start();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-check-'));
});
afterEach(async () => {
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

async function check(what: string, aws: Record<string, unknown> = {}): Promise<readonly Omit<Probe, 'check'>[]> {
  const file = join(folder, 'image-swapper.yaml');
  await writeFile(file, world.config(aws));
  const child = spawn(
    process.execPath,
    [...compileCacheFlags(), BUNDLE, 'check', '--online', '--config', file, '-o', 'json'],
    {
      env: { PATH: process.env['PATH'] ?? '', ...world.env, ...world.control.userEnv },
    },
  );
  const { probes } = JSON.parse(await text(child.stdout)) as { readonly probes: readonly Probe[] };
  return probes.filter((probe) => probe.check === what).map(({ ok, message }) => ({ ok, message }));
}

function stored(): void {
  world.control.repositories.create(ACCOUNT, REGION, REPOSITORY, {});
  world.control.images.pushed(repositoryArn(ACCOUNT, REGION, REPOSITORY), DIGEST, '1.27');
}

describe('managed signing', () => {
  it('is off when the registry has no signing configuration for the prefix', async () => {
    expect(await check('managed signing')).toEqual([{ ok: true, message: 'off' }]);
    world.control.registry.signing = [{ signingProfileArn: PROFILE, filters: ['team/*', 'mirrored/*'] }];
    expect(await check('managed signing')).toEqual([{ ok: true, message: 'off' }]);
  });

  it.each([[[]], [['team/*', 'mirror/docker.io/*']], [['m*']], [['*/nginx']]])(
    'shows the statement that the identity needs when the rule has the filters %j',
    async (filters) => {
      stored();
      world.control.registry.signing = [{ signingProfileArn: PROFILE, filters }];
      const [probe] = await check('managed signing');
      expect(probe?.ok).toBe(true);
      const statement = JSON.parse(/\{"Effect".*\}/.exec(probe?.message ?? '')?.[0] ?? '{}') as unknown;
      expect(statement).toEqual({
        Effect: 'Allow',
        Action: ['signer:GetSigningProfile', 'signer:SignPayload'],
        Resource: PROFILE,
      });
    },
  );

  it('fails the check when ECR could not sign an image that was pushed', async () => {
    stored();
    world.control.registry.signing = [{ signingProfileArn: PROFILE, filters: [] }];
    const failureReason = 'User is not authorized to perform signer:SignPayload';
    world.control.images.signing.set(DIGEST, [
      { signingProfileArn: PROFILE, status: 'FAILED', failureCode: 'AccessDenied', failureReason },
    ]);
    const [probe] = await check('managed signing');
    expect(probe?.ok).toBe(false);
    expect(probe?.message).toContain(`${REPOSITORY}@${DIGEST} was not signed with ${PROFILE}: AccessDenied: `);
    expect(probe?.message).toContain('"signer:SignPayload"');
  });

  it('is unknown without ecr:GetSigningConfiguration, and the check still succeeds', async () => {
    world.control.fault({ action: 'GetSigningConfiguration', fault: { type: 'denied' } });
    const [probe] = await check('managed signing');
    expect(probe?.ok).toBe(true);
    expect(probe?.message).toMatch(/^not known: it needs ecr:GetSigningConfiguration; .*signer:SignPayload/);
  });
});

describe('pull times', () => {
  const byPull = JSON.stringify({
    rules: [
      {
        rulePriority: 1,
        selection: { tagStatus: 'any', countType: 'sinceImagePulled', countUnit: 'days', countNumber: 90 },
        action: { type: 'transition', targetStorageClass: 'archive' },
      },
    ],
  });
  const lifecycle = { ecrOptions: { lifecyclePolicy: byPull } };

  it('fails the check when a lifecycle policy uses pull times and the identity is not excluded', async () => {
    const [probe] = await check('pull times', lifecycle);
    expect(probe?.ok).toBe(false);
    expect(probe?.message).toContain(`aws ecr register-pull-time-update-exclusion --principal-arn ${USER}`);
    expect(await check('pull times')).toMatchObject([{ ok: true }]);
  });

  it('passes when any page of the list excludes the identity', async () => {
    world.control.registry.pullTimeExclusions = [`arn:aws:iam::${ACCOUNT}:role/scanner`, USER];
    expect(await check('pull times', lifecycle)).toEqual([
      { ok: true, message: 'reads by the service do not count as pulls' },
    ]);
  });

  it('recognizes the excluded role of an assumed role, whose path only IAM shows', async () => {
    await world.close();
    const role = `arn:aws:iam::${ACCOUNT}:role/team/mirror`;
    world = await EcrWorld.start({ control: { roles: [{ arn: role }] } });
    world.control.registry.pullTimeExclusions = [role];
    expect(await check('pull times', { ...lifecycle, role })).toMatchObject([{ ok: true }]);
    world.control.registry.pullTimeExclusions = [role.replace('team/mirror', 'team/other')];
    expect(await check('pull times', { ...lifecycle, role })).toMatchObject([{ ok: false }]);
  });
});

describe('creation templates', () => {
  const createOnPush = { repositories: { mode: 'createOnPush' } };

  it('are checked only with createOnPush', async () => {
    expect(await check('creation template')).toEqual([]);
    const [probe] = await check('creation template', createOnPush);
    expect(probe?.message).toMatch(/^none with appliedFor CREATE_ON_PUSH matches the prefix: .* ECR's defaults/);
  });

  it('are named by the best match that applies to pushes', async () => {
    world.control.registry.creationTemplates = [
      { prefix: 'mirror', appliedFor: ['PULL_THROUGH_CACHE'] },
      { prefix: 'mirrored', appliedFor: ['CREATE_ON_PUSH'] },
      { prefix: 'mir', appliedFor: ['CREATE_ON_PUSH'] },
      { prefix: 'ROOT', appliedFor: ['CREATE_ON_PUSH'] },
    ];
    expect((await check('creation template', createOnPush))[0]?.message).toMatch(/^ROOT applies/);
    world.control.registry.creationTemplates = [
      ...world.control.registry.creationTemplates,
      { prefix: 'mirror', appliedFor: ['REPLICATION', 'CREATE_ON_PUSH'] },
    ];
    expect((await check('creation template', createOnPush))[0]?.message).toMatch(/^mirror applies/);
  });

  it('for every repository have the lowest priority, however short the other prefix is', async () => {
    world.control.registry.creationTemplates = ['ROOT', 'mi'].map((prefix) => ({
      prefix,
      appliedFor: ['CREATE_ON_PUSH'],
    }));
    const [probe] = await check('creation template', { ...createOnPush, prefix: 'mi' });
    expect(probe?.message).toMatch(/^mi applies/);
  });
});

describe('permissions', () => {
  const refused = (action: string, why: string): string =>
    `User: ${USER} is not authorized to perform: ${action} on resource: ${repositoryArn(ACCOUNT, REGION, REPOSITORY)} ${why}`;
  const denied = (message: string): ControlFault => ({ type: 'error', code: 'AccessDeniedException', message });

  it('are named by the action that AWS refused: creating a repository with tags needs two (k8s-image-swapper#416)', async () => {
    stored();
    const message = refused('ecr:TagResource', 'because no identity-based policy allows the ecr:TagResource action');
    world.control.fault({ action: 'CreateRepository', fault: denied(message) });
    const [policy, ...more] = await check('policy');
    expect(more).toEqual([]);
    expect(policy?.message).toContain('"Action":"ecr:TagResource"');
  });

  it('are not asked of the identity where another policy denies', async () => {
    const message = refused('ecr:DescribeRepositories', 'with an explicit deny in a service control policy');
    world.control.fault({ action: 'DescribeRepositories', fault: denied(message) });
    const found = await check('ecr:DescribeRepositories');
    expect(found).toEqual([
      { ok: false, message: expect.stringContaining('service control policy denies it') as string },
    ]);
    expect(await check('policy')).toEqual([]);
    expect(await check('permissions')).toEqual([]);
  });
});
