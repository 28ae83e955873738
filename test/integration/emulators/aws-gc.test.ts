import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { repositoryArn } from '../../fakes/ecr-repositories.js';
import { ACCOUNT, ECR_HOST, EcrWorld, REGION } from '../../fakes/ecr-world.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import { runProgram } from '../../fakes/program.js';
import { until } from '../../fakes/until.js';
import { putUsageRecord } from '../../fakes/usage-record.js';

/** `gc` and the usage records in ECR, with its archive, lifecycle policies and immutable tags. */

const APP = 'mirror/docker.io/library/app';
const USAGE = 'mirror/image-swapper-usage';
const ARN = repositoryArn(ACCOUNT, REGION, APP);
const DAY_SECONDS = 86_400;
const now = Math.floor(Date.now() / 1_000);
const [old, used] = [buildImage({ seed: 1 }), buildImage({ seed: 2 })];
let world: EcrWorld;
let folder: string;

beforeAll(async () => {
  world = await EcrWorld.start();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-aws-gc-'));
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

describe('gc at ECR', () => {
  beforeEach(() => {
    for (const digest of world.target.digests(APP)) world.target.deleteManifest(APP, digest);
    for (const { imageDigest } of world.control.images.list(ARN)) world.control.images.remove(ARN, imageDigest);
    world.control.log.length = 0;
    if (world.control.repositories.list(ACCOUNT, REGION).length === 0) {
      // Immutable tags can be deleted with their image.
      world.control.repositories.create(ACCOUNT, REGION, APP, { imageTagMutability: 'IMMUTABLE' });
      world.control.repositories.create(ACCOUNT, REGION, USAGE, {});
    }
    store(old, 'old');
    store(used, 'used');
    const uses = new Map([
      [`${APP}:old`, now - 40 * DAY_SECONDS],
      [`${APP}:used`, now - DAY_SECONDS],
    ]);
    putUsageRecord(world.target, 'east', { now, uses });
  });

  function store(image: BuiltImage, tag: string): void {
    loadImage(world.target, APP, image, tag);
    for (const { digest } of image.manifests)
      world.control.images.pushed(ARN, digest, digest === image.digest ? tag : undefined);
  }

  async function gc(): Promise<{ readonly code: number | null; readonly states: readonly string[] }> {
    const file = join(folder, 'gc.yaml');
    await writeFile(file, world.config({}, { gc: { clusters: ['east'] } }));
    const env = { ...world.env, ...world.control.userEnv };
    const { code, stdout, stderr } = await runProgram(['gc', '--config', file, '-o', 'json'], env);
    if (stdout === '') throw new Error(stderr);
    const { images } = JSON.parse(stdout) as { images: { readonly image: string; readonly state: string }[] };
    return { code, states: images.map(({ image, state }) => `${state} ${image}`).sort() };
  }

  const named = (state: string, { digest }: BuiltImage): string => `${state} ${ECR_HOST}/${APP}@${digest}`;
  const stored = (): string[] => world.control.images.list(ARN).map(({ imageDigest }) => imageDigest);
  const all = (image: BuiltImage): string[] => image.manifests.map(({ digest }) => digest);
  const calls = () =>
    world.control
      .calls('BatchDeleteImage')
      .map(({ parameters }) =>
        (parameters['imageIds'] as readonly { readonly imageDigest: string }[]).map(({ imageDigest }) => imageDigest),
      );

  it('deletes through the ECR API, the index before the platforms, even with immutable tags', async () => {
    expect(await gc()).toEqual({ code: 0, states: [named('deleted', old), named('kept', used)].sort() });
    const [first, second] = calls();
    expect(first).toEqual([old.digest]);
    expect([...(second ?? [])].sort()).toEqual([...old.platforms.values()].sort());
    expect(stored().sort()).toEqual(all(used).sort());
    expect(world.proxy.log.filter(({ method }) => method === 'DELETE')).toEqual([]);
    // Three requests per image of several platforms.
    const requests = world.proxy.log.filter(({ path }) => path.includes(`/${APP}/`)).length + calls().length;
    expect(requests).toBeLessThanOrEqual(3 * [old, used].length);
  });

  it('leaves an archived image in the archive', async () => {
    for (const digest of all(old)) world.control.images.setStatus(ARN, digest, 'ARCHIVED');
    expect(await gc()).toEqual({ code: 0, states: [named('kept', used)] });
    expect(calls()).toEqual([]);
    expect(world.control.images.find(ARN, 'old')?.imageStatus).toBe('ARCHIVED');
  });

  it('skips an image or platform that a lifecycle policy has deleted', async () => {
    for (const digest of all(old)) {
      world.control.images.remove(ARN, digest);
      world.target.deleteManifest(APP, digest);
    }
    expect(await gc()).toEqual({ code: 0, states: [named('kept', used)] });
    store(old, 'old');
    const platform = old.platforms.get('linux/arm64') ?? '';
    world.control.images.remove(ARN, platform);
    world.target.deleteManifest(APP, platform);
    expect(await gc()).toEqual({ code: 0, states: [named('deleted', old), named('kept', used)].sort() });
    expect(stored().sort()).toEqual(all(used).sort());
  });
});

describe('the usage record of a service at ECR', () => {
  it('gets a repository with mutable tags, although the tags of images are immutable', async () => {
    const cluster = await FakeCluster.start();
    try {
      cluster.collection('/api/v1/pods').put(smallPod('web', `${ECR_HOST}/mirror/docker.io/library/web:1`, 'team-a'));
      const kubeconfig = join(folder, 'kubeconfig');
      await writeFile(kubeconfig, cluster.kubeconfig());
      const fresh = await EcrWorld.start();
      try {
        const aws = { ecrOptions: { imageTagMutability: 'IMMUTABLE' } };
        await fresh.serve(fresh.config(aws, { gc: { cluster: 'east' } }), {
          env: { KUBECONFIG: kubeconfig, POD_NAME: 'usage', NO_PROXY: '127.0.0.1' },
        });
        await until('the record', () => fresh.target.manifest(USAGE, 'east') !== undefined);
        const [repository] = fresh.control.repositories.list(ACCOUNT, REGION);
        expect(repository).toMatchObject({ repositoryName: USAGE, imageTagMutability: 'MUTABLE' });
      } finally {
        await fresh.close();
      }
    } finally {
      await cluster.close();
    }
  });
});
