import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { controlView } from '../../fakes/ecr-control-view.js';
import { EcrGate } from '../../fakes/ecr-gate.js';
import type { ImageStatus } from '../../fakes/ecr-images.js';
import { repositoryArn } from '../../fakes/ecr-repositories.js';
import { ACCOUNT, ECR_HOST, EcrWorld, REGION } from '../../fakes/ecr-world.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import { runProgram } from '../../fakes/program.js';
import type { ProgramResult } from '../../fakes/program.js';

/** Images in ECR's archive. DescribeImages lists them, a pull gets a 404, and a push restores them. */

const archiving = JSON.stringify({
  rules: [
    {
      rulePriority: 1,
      selection: { tagStatus: 'any', countType: 'sinceImagePulled', countUnit: 'days', countNumber: 90 },
      action: { type: 'transition', targetStorageClass: 'archive' },
    },
  ],
});

let world: EcrWorld;
let image: BuiltImage;
let app: string;
let folder: string;

beforeEach(async () => {
  world = await EcrWorld.start();
  image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layerSize: 10_000 });
  loadImage(world.source, 'app', image, '1.0');
  app = `${world.source.host}/app:1.0`;
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-archive-'));
});
afterEach(async () => {
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

/** Runs the command with a configuration whose lifecycle policy archives images. */
async function command(...args: readonly string[]): Promise<ProgramResult> {
  const file = join(folder, 'image-swapper.yaml');
  await writeFile(file, world.config({ ecrOptions: { lifecyclePolicy: archiving } }));
  const [name = '', ...rest] = args;
  const result = await runProgram([name, '--config', file, ...rest], { ...world.env, ...world.control.userEnv });
  expect(result.code, result.stderr).toBe(0);
  return result;
}

/** Archives the index and its children, as a lifecycle rule does with an image. */
function moveAll(status: ImageStatus): void {
  const arn = repositoryArn(ACCOUNT, REGION, world.repository('app'));
  for (const { digest } of image.manifests) world.control.images.setStatus(arn, digest, status);
}

const statuses = (): readonly ImageStatus[] => {
  const arn = repositoryArn(ACCOUNT, REGION, world.repository('app'));
  return image.manifests.map(({ digest }) => world.control.images.find(arn, digest)?.imageStatus ?? 'ARCHIVED');
};

describe('a target that has archived an image', () => {
  it('counts as missing: explain names the archive, and a copy restores everything', async () => {
    await command('mirror', app);
    expect(statuses()).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
    moveAll('ARCHIVED');

    const { stdout: explanation } = await command('explain', app);
    expect(explanation).toContain('it is archived in Amazon ECR since 2026-09-01T00:00:00.000Z. A copy restores it.');
    expect(explanation).toContain('It keeps its image for now');

    const parts = world.gate.count('CompleteLayerUpload');
    const { stdout, stderr } = await command('mirror', '-o', 'json', app);
    expect(JSON.parse(stdout)).toMatchObject({ images: [{ state: 'mirrored', digest: image.digest }] });
    expect(stderr).toContain(
      `${ECR_HOST}/${world.repository('app')}:1.0 is archived in Amazon ECR since 2026-09-01T00:00:00.000Z: the copy restores it`,
    );
    // The layers are archived with the image, so they are sent again.
    expect(world.gate.count('CompleteLayerUpload') - parts).toBe(image.blobs.length);
    expect(statuses()).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
    expect((await command('explain', app)).stdout).toContain('It is swapped for');
  });

  it('repairs an image of which only the platforms are archived', async () => {
    await command('mirror', app);
    const arn = repositoryArn(ACCOUNT, REGION, world.repository('app'));
    const [child] = image.manifests;
    world.control.images.setStatus(arn, child?.digest ?? '', 'ARCHIVED');
    const { stdout } = await command('mirror', '-o', 'json', app);
    expect(JSON.parse(stdout)).toMatchObject({ images: [{ repaired: [`manifest ${child?.digest ?? ''}`] }] });
    expect(statuses()).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
  });

  it('makes no API call for a new image when the configuration archives nothing', async () => {
    const service = await world.serve(world.config());
    expect(await world.mirror(service, app)).toMatchObject({ state: 'done' });
    expect(world.control.calls('DescribeImages')).toEqual([]);
  });

  it('is explained and copied without ecr:DescribeImages', async () => {
    await command('mirror', app);
    moveAll('ARCHIVED');
    world.control.fault({ action: 'DescribeImages', fault: { type: 'denied' } });
    expect((await command('explain', app)).stdout).toContain('The target does not have it.');
    await command('mirror', app);
    expect(statuses()).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
  });
});

describe('a source that has archived an image', () => {
  const SOURCE_HOST = `210987654321.dkr.ecr.us-east-1.amazonaws.com`;
  const source = { registries: [{ type: 'aws', aws: { accountId: '210987654321', region: 'us-east-1' } }] };
  const arn = repositoryArn('210987654321', 'us-east-1', 'team/app');

  beforeEach(async () => {
    await world.close();
    world = await EcrWorld.start({ hosts: { [SOURCE_HOST]: undefined } });
    loadImage(world.source, 'team/app', image, '3.1');
    const { control, proxy } = world;
    control.repositories.create('210987654321', 'us-east-1', 'team/app', {});
    control.images.pushed(arn, image.digest, '3.1');
    proxy.setBackend(SOURCE_HOST, world.source.origin);
    const gate = new EcrGate({ host: SOURCE_HOST, control: controlView(control), backend: world.source.origin });
    proxy.setHook(SOURCE_HOST, gate.hook);
  });

  it.each([
    ['ARCHIVED', 'failed', /is archived in Amazon ECR since 2026-09-01.*: restore it there, or push it again/],
    ['ACTIVATING', 'waiting', /is being restored from Amazon ECR's archive, which takes up to 20 minutes/],
  ] as const)('is named in the reason: %s', async (status, state, message) => {
    world.control.images.setStatus(arn, '3.1', status);
    const service = await world.serve(world.config({}, { source }));
    const row = await world.mirror(service, `${SOURCE_HOST}/team/app:3.1`);
    expect(row).toMatchObject({ state, attempts: 1, failure: { reason: 'absent' } });
    expect(row.failure?.message).toMatch(message);
    expect(world.control.calls('DescribeImages')).toMatchObject([
      {
        region: 'us-east-1',
        parameters: {
          registryId: '210987654321',
          repositoryName: 'team/app',
          imageIds: [{ imageTag: '3.1' }],
          filter: { imageStatus: 'ANY' },
        },
      },
    ]);
  });

  it('is reported as absent when ECR does not know the image', async () => {
    const service = await world.serve(world.config({}, { source }));
    const row = await world.mirror(service, `${SOURCE_HOST}/team/app:4.0`);
    expect(row).toMatchObject({ state: 'failed', failure: { reason: 'absent' } });
    expect(row.failure?.message).not.toContain('archive');
  });
});
