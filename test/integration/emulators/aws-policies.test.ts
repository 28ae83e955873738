import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { writeFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ACCOUNT, accessPolicy, EcrWorld, lifecyclePolicy, REGION } from '../../fakes/ecr-world.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { BUNDLE } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

/**
 * Repository policies are set in parallel with the push and again after a change of the configuration. They never delay
 * an image.
 */

const POLICIES_TAG = 'image-swapper.io/policies';
const both = { ecrOptions: { accessPolicy: accessPolicy('one'), lifecyclePolicy } };

let world: EcrWorld;
let app: string;

beforeEach(async () => {
  world = await EcrWorld.start();
  loadImage(world.source, 'app', buildImage({ layerSize: 1_000 }), '1.0');
  app = `${world.source.host}/app:1.0`;
});
afterEach(async () => {
  await world.close();
});

const found = () => world.control.repositories.find(ACCOUNT, REGION, world.repository('app'));
const mark = (): string | undefined => found()?.tags.find(({ Key }) => Key === POLICIES_TAG)?.Value;
const calls = (action: string): number => world.control.calls(action).length;
/** The number of calls before the sweep, which begins 15 s after the start and lists the repositories first. */
const callsBeforeSweep = (action: string): number => {
  const actions = world.actions();
  const sweep = actions.indexOf('DescribeRepositories');
  return actions.slice(0, sweep < 0 ? undefined : sweep).filter((one) => one === action).length;
};

/** Returns a repository in its state after the first configuration. */
async function mirrored(aws: Record<string, unknown> = both): Promise<void> {
  const service = await world.serve(world.config(aws));
  expect(await world.mirror(service, app)).toMatchObject({ state: 'done' });
  await until('the policies are set', () => /^[0-9a-f]{32}$/.test(mark() ?? ''));
  await service.stop();
  world.control.log.length = 0;
}

describe('a policy call that fails', () => {
  it.each(['SetRepositoryPolicy', 'PutLifecyclePolicy', 'TagResource'])(
    '%s: the image is available, and the call is reported and retried until it succeeds',
    async (action) => {
      world.control.fault({ action, times: 1, fault: { type: 'denied' } });
      const service = await world.serve(world.config(both));
      expect(await world.mirror(service, app)).toMatchObject({ state: 'done', attempts: 1 });
      await until('the call', () => calls(action) === 1);
      expect(mark()).toBe('pending');
      const warned = () =>
        service.log.find(({ level, message }) => level === 'warn' && message.includes(`ecr:${action}`));
      await until('the warning', () => warned() !== undefined);
      expect(warned()).toMatchObject({ registry: 'target default', repository: world.repository('app') });
      await until('it is tried again', () => /^[0-9a-f]{32}$/.test(mark() ?? ''));
      expect(found()).toMatchObject({ policyText: accessPolicy('one'), lifecyclePolicyText: lifecyclePolicy });
      // The tag is set by the last call, whose response may not have reached the service yet.
      await until('it is counted', async () =>
        (await world.metrics(service)).includes('{registry="target default",action="policies",outcome="ok"} 1'),
      );
      expect(await world.metrics(service)).toContain(
        '{registry="target default",action="policies",outcome="forbidden"} 1',
      );
    },
  );

  it('does not delay the image, regardless of its duration', async () => {
    world.control.fault({ action: 'SetRepositoryPolicy', fault: { type: 'hang' } });
    const service = await world.serve(world.config(both));
    expect(await world.mirror(service, app)).toMatchObject({ state: 'done' });
    expect(mark()).toBe('pending');
  });
});

describe('a configuration with other policies', () => {
  const other = { ecrOptions: { accessPolicy: accessPolicy('two'), lifecyclePolicy } };

  it('sets them where it finds images, with one lookup per repository', async () => {
    await mirrored();
    const service = await world.serve(world.config(other));
    loadImage(world.source, 'app', buildImage({ seed: 3, layerSize: 1_000 }), '2.0');
    await world.mirror(service, app.replace('1.0', '2.0'));
    await until('the policy is set', () => found()?.policyText === accessPolicy('two'));
    loadImage(world.source, 'app', buildImage({ seed: 4, layerSize: 1_000 }), '3.0');
    await world.mirror(service, app.replace('1.0', '3.0'));
    expect(callsBeforeSweep('ListTagsForResource')).toBeLessThanOrEqual(1);
    expect(calls('SetRepositoryPolicy')).toBe(1);
    expect(calls('CreateRepository')).toBe(0);
  });

  it('changes nothing if only the layout differs', async () => {
    await mirrored();
    const spread = JSON.stringify(JSON.parse(accessPolicy('one')), null, 4);
    const service = await world.serve(world.config({ ecrOptions: { accessPolicy: spread, lifecyclePolicy } }));
    loadImage(world.source, 'app', buildImage({ seed: 3, layerSize: 1_000 }), '2.0');
    await world.mirror(service, app.replace('1.0', '2.0'));
    await until('the look', () => calls('ListTagsForResource') >= 1);
    expect(calls('SetRepositoryPolicy') + calls('PutLifecyclePolicy') + calls('TagResource')).toBe(0);
  });

  it('is found by the sweep, which updates a metric and the policies, and no other repositories', async () => {
    await mirrored();
    for (const name of ['mirror/docker.io/library/other', 'mirror/team', 'unrelated.io/app']) {
      world.control.repositories.create(ACCOUNT, REGION, name, {});
    }
    const service = await world.serve(world.config(other));
    await until('the sweep', () => found()?.policyText === accessPolicy('two'));
    expect(world.control.calls('SetRepositoryPolicy').map(({ parameters }) => parameters['repositoryName'])).toEqual([
      world.repository('app'),
    ]);
    expect(await world.metrics(service)).toContain('image_swapper_repository_drift{registry="target default"} 1');
    const looked = world.control
      .calls('ListTagsForResource')
      .map(({ parameters }) => String(parameters['resourceArn']));
    expect(looked.some((arn) => arn.endsWith('/mirror/team') || arn.endsWith('/unrelated.io/app'))).toBe(false);
  });

  it('without policies makes no call at all', async () => {
    const service = await world.serve(world.config());
    await world.mirror(service, app);
    expect(world.actions().sort()).toEqual(['CreateRepository', 'GetAuthorizationToken']);
    expect(mark()).toBeUndefined();
  });

  it('with 50 tags of its own sets the policies once and leaves them', async () => {
    const tags = Array.from({ length: 50 }, (_, i) => ({ key: `k${i}`, value: 'v' }));
    const service = await world.serve(world.config({ ecrOptions: { ...both.ecrOptions, tags } }));
    expect(await world.mirror(service, app)).toMatchObject({ state: 'done' });
    await until('the policies are set', () => found()?.lifecyclePolicyText === lifecyclePolicy);
    expect(found()?.tags).toHaveLength(50);
    expect(calls('TagResource')).toBe(0);
  });
});

describe('check --online', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-check-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  interface Probe {
    readonly check: string;
    readonly ok: boolean;
    readonly message: string;
  }

  async function check(
    aws: Record<string, unknown>,
    more: Record<string, unknown> = {},
  ): Promise<{ code: number | null; probes: Probe[]; text: string }> {
    const file = join(folder, 'image-swapper.yaml');
    await writeFile(file, world.config(aws, more));
    const child = spawn(
      process.execPath,
      [...compileCacheFlags(), BUNDLE, 'check', '--online', '--config', file, '-o', 'json'],
      {
        env: { PATH: process.env['PATH'] ?? '', ...world.env, ...world.control.userEnv },
      },
    );
    const [stdout, code] = await Promise.all([
      text(child.stdout),
      new Promise<number | null>((resolve) => child.on('exit', resolve)),
    ]);
    const { probes } = JSON.parse(stdout) as { probes: (Probe & { registry: string })[] };
    return { code, text: stdout, probes: probes.filter(({ registry }) => registry.startsWith('target')) };
  }

  it('succeeds if everything is allowed, and changes nothing', async () => {
    await mirrored();
    const before = JSON.stringify(world.control.repositories.list(ACCOUNT, REGION));
    const { code, probes } = await check(both);
    expect(probes.filter(({ ok }) => !ok)).toEqual([]);
    expect(code).toBe(0);
    expect(probes).toContainEqual(
      expect.objectContaining({ check: 'identity', message: 'arn:aws:iam::123456789012:user/mirror' }),
    );
    expect(probes).toContainEqual(
      expect.objectContaining({ check: 'permissions', message: 'every action is allowed' }),
    );
    expect(JSON.stringify(world.control.repositories.list(ACCOUNT, REGION))).toBe(before);
    expect(world.target.tags(world.repository('app'))).toEqual(['1.0']);
  });

  const missing = (probes: readonly Probe[]): string[] =>
    probes.filter(({ check: what, ok }) => what.startsWith('ecr:') && !ok).map(({ check: what }) => what);

  it('names every action of the API that is missing, with one statement to paste', async () => {
    await mirrored();
    const denied = [
      'SetRepositoryPolicy',
      'GetRepositoryPolicy',
      'PutLifecyclePolicy',
      'GetLifecyclePolicy',
      'ListTagsForResource',
      'TagResource',
      'CreateRepository',
    ];
    for (const action of denied) world.control.fault({ action, fault: { type: 'denied' } });
    const { code, probes } = await check(both);
    expect(code).toBe(1);
    expect(missing(probes).sort()).toEqual(denied.map((action) => `ecr:${action}`).sort());
    const statement =
      /\{"Effect".*\}/.exec(probes.find((probe) => probe.check === 'policy')?.message ?? '')?.[0] ?? '{}';
    const { Action, Resource } = JSON.parse(statement) as { Action: string[]; Resource: string };
    expect([...Action].sort()).toEqual(denied.map((action) => `ecr:${action}`).sort());
    expect(Resource).toBe('arn:aws:ecr:eu-central-1:123456789012:repository/mirror/*');
  });

  it('names the missing action and the checks that need it', async () => {
    await mirrored();
    world.control.fault({ action: 'DescribeRepositories', fault: { type: 'denied' } });
    const { code, probes } = await check(both);
    expect(code).toBe(1);
    expect(missing(probes)).toEqual(['ecr:DescribeRepositories']);
    expect(probes.find((probe) => probe.check === 'ecr:CreateRepository')?.message).toMatch(/^not tried/);
  });

  it('names every action of the registry that is missing, and creates nothing for it', async () => {
    const denied = ['UploadLayerPart', 'CompleteLayerUpload', 'PutImage', 'InitiateLayerUpload', 'BatchGetImage'];
    await world.close();
    world = await EcrWorld.start({ gate: { allows: (_arn, action) => !denied.includes(action) } });
    const { code, probes } = await check({});
    expect(code).toBe(1);
    expect(missing(probes).sort()).toEqual(denied.map((action) => `ecr:${action}`).sort());
    expect(world.control.repositories.list(ACCOUNT, REGION)).toEqual([]);
  });

  describe('in targets of gc', () => {
    const gc = { gc: { clusters: ['east'] } };
    const calls = (): number => world.control.calls('BatchDeleteImage').length;

    it('succeeds with the rights to list tags and to delete, and deletes nothing', async () => {
      await mirrored();
      const { code, probes } = await check(both, gc);
      expect(code).toBe(0);
      expect(probes).toContainEqual(
        expect.objectContaining({ check: 'delete', ok: true, message: 'may list tags and delete images' }),
      );
      expect(calls()).toBeGreaterThan(0);
      expect(world.target.tags(world.repository('app'))).toEqual(['1.0']);
      expect(world.control.repositories.list(ACCOUNT, REGION)).toHaveLength(1);
    });

    it('names the actions that are missing, with one statement to paste', async () => {
      await world.close();
      world = await EcrWorld.start({ gate: { allows: (_arn, action) => action !== 'ListImages' } });
      world.control.fault({ action: 'BatchDeleteImage', fault: { type: 'denied' } });
      const { code, probes } = await check({}, gc);
      expect(code).toBe(1);
      expect(probes.find((probe) => probe.check === 'delete')).toMatchObject({
        ok: false,
        message: expect.stringMatching(/ecr:ListImages.*; allow the account to delete there$/) as string,
      });
      expect(missing(probes)).toEqual(['ecr:BatchDeleteImage', 'ecr:ListImages']);
      expect(probes.find((probe) => probe.check === 'policy')?.message).toContain(
        '"Action":["ecr:BatchDeleteImage","ecr:ListImages"]',
      );
    });

    it('reports that deletion is refused when only listing tags is allowed', async () => {
      world.control.fault({ action: 'BatchDeleteImage', fault: { type: 'denied' } });
      const { code, probes } = await check({}, gc);
      expect(code).toBe(1);
      expect(probes.find((probe) => probe.check === 'delete')).toMatchObject({
        ok: false,
        message: expect.stringContaining('ecr:BatchDeleteImage') as string,
      });
    });

    it('does not require these rights in a cluster that only records its usage', async () => {
      world.control.fault({ action: 'BatchDeleteImage', fault: { type: 'denied' } });
      const { code, probes } = await check({}, { gc: { cluster: 'east' } });
      expect(code).toBe(0);
      expect(probes.map((probe) => probe.check)).not.toContain('delete');
      expect(calls()).toBe(0);
    });
  });

  it('shows policies that were changed by hand', async () => {
    await mirrored();
    const repository = found();
    if (repository === undefined) throw new Error('no repository');
    world.control.repositories.change(repository, { policyText: accessPolicy('by hand') });
    const { code, probes } = await check(both);
    expect(code).toBe(1);
    expect(probes.find((probe) => probe.check === 'policies')).toMatchObject({
      ok: false,
      message: `${world.repository('app')}: accessPolicy differ from the configuration; the service applies them again`,
    });
  });

  it('reports whether layers are mounted', async () => {
    world.control.settings.set('BLOB_MOUNTING', 'ENABLED');
    const { probes } = await check({});
    expect(probes).toContainEqual(expect.objectContaining({ check: 'blob mounting', message: 'on' }));
  });
});
