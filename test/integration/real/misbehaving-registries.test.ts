import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { copyImage } from '../../../extension-service/src/registry/copy.js';
import { RegistryError } from '../../../extension-service/src/registry/errors.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { pushImage } from '../../bench/push-image.js';
import { buildImage } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import { MisbehavingProxy } from '../../fakes/misbehaving-proxy.js';
import { MISBEHAVIORS, type End, type NamedMisbehavior } from '../../fakes/misbehaviors.js';
import { QUICK_KINDS } from '../../matrix/registry-kinds.js';
import type { StartedRegistry } from '../../matrix/registry-process.js';
import { craneProgram } from '../../tools/crane.js';
import { goToolsAvailable } from '../../tools/tool.js';

/**
 * Copies of images between real registries behind a proxy that misbehaves. crane pulls the copies directly from the
 * target and checks every digest.
 */

const run = promisify(execFile);
const available = await goToolsAvailable('copies through misbehaving proxies');

let crane: string;
let folder: string;
let cases = 0;

beforeAll(async () => {
  if (!available) return;
  crane = await craneProgram();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-misbehaving-'));
}, 900_000);
afterAll(async () => {
  if (available) await rm(folder, { recursive: true, force: true });
});

interface Case {
  readonly image: BuiltImage;
  /** The repository in the source, and below `copy/` in the target. */
  readonly repository: string;
}

/** Each image has different layers, because go-containerregistry's registry has one store for all repositories. */
async function newCase(host: string): Promise<Case> {
  const seed = (cases += 1);
  const platforms = ['linux/amd64', 'linux/arm64'];
  const image = buildImage({ platforms, layersPerPlatform: 1, layerSize: 50_000, seed });
  const repository = `app-${seed}`;
  await pushImage(host, repository, image, '1.0');
  return { image, repository };
}

async function copy(from: string, to: string, { repository, image }: Case, uploadChunk?: number): Promise<void> {
  const factory = new RegistryFactory({
    endpoints: [
      { host: from, insecure: true },
      { host: to, insecure: true, ...(uploadChunk !== undefined && { uploadChunk }) },
    ],
    hosts: { allow: ['127.0.0.1'], deny: [] },
    env: {},
    retry: { baseDelay: 5, maxDelay: 50 },
  });
  const anonymous = { resolve: () => Promise.resolve([]) };
  try {
    const result = await copyImage({
      source: { client: factory.client(from, anonymous), reference: { repository, tag: '1.0' } },
      target: {
        client: factory.client(to, anonymous),
        reference: { repository: `copy/${repository}`, published: '1.0' },
      },
      referrers: true,
    });
    expect(result.digest).toBe(image.digest);
  } finally {
    factory.close();
  }
}

/** Pulls all platforms of all images in one run. crane checks each digest and names an image that it cannot read. */
async function expectPulled(copies: readonly { readonly host: string; readonly image: Case }[]): Promise<void> {
  const layout = await mkdtemp(join(folder, 'layout-'));
  const images = copies.map(({ host, image }) => `${host}/copy/${image.repository}:1.0`);
  await run(crane, ['pull', '--insecure', '--format', 'oci', ...images, layout]);
  const { manifests } = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as {
    readonly manifests: readonly { readonly digest: string }[];
  };
  expect(manifests.map(({ digest }) => digest).sort()).toEqual(copies.map(({ image }) => image.image.digest).sort());
  await rm(layout, { recursive: true, force: true });
}

describe.skipIf(!available).each(QUICK_KINDS)('$name', (kind) => {
  let registry: StartedRegistry;
  let other: StartedRegistry;
  const copies: { readonly host: string; readonly image: Case }[] = [];

  beforeAll(async () => {
    [registry, other] = await Promise.all([kind.start(), startOther()]);
  }, 900_000);
  afterAll(() => Promise.all([registry.stop(), other.stop()]));

  async function behind(misbehaviour: NamedMisbehavior, end: End, image: Case): Promise<void> {
    const proxy = await MisbehavingProxy.start(registry.host, misbehaviour.make(registry.host));
    try {
      if (end === 'source') await copy(proxy.host, other.host, image);
      else await copy(other.host, proxy.host, image, misbehaviour.uploadChunk);
    } finally {
      await proxy.stop();
    }
  }

  it.each(
    MISBEHAVIORS.flatMap((misbehaviour) =>
      misbehaviour.ends.map((end) => [end, misbehaviour.name, misbehaviour] as const),
    ),
  )('as the %s where %s', async (end, _, misbehaviour) => {
    const [source, target] = end === 'source' ? [registry, other] : [other, registry];
    const image = await newCase(source.host);
    await behind(misbehaviour, end, image);
    copies.push({ host: target.host, image });
  });

  it('crane pulls every copy', async () => {
    expect(copies).not.toEqual([]);
    await expectPulled(copies);
  });

  it('without chunks, reports an early 413 and writes no tag', async () => {
    const early = MISBEHAVIORS.find(({ name }) => name.startsWith('an early 413'));
    if (early === undefined) throw new Error('no early 413');
    const image = await newCase(other.host);
    const whole = Object.fromEntries(Object.entries(early).filter(([key]) => key !== 'uploadChunk')) as typeof early;
    const error: unknown = await behind(whole, 'target', image).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RegistryError);
    expect((error as RegistryError).kind).toBe('too-large');
    expect((error as RegistryError).message).toContain('set oci.uploadChunk');
    const tag = `${registry.host}/copy/${image.repository}:1.0`;
    await expect(run(crane, ['digest', '--insecure', tag])).rejects.toThrow();
  });
});

/** The well-behaved end of a copy. */
async function startOther(): Promise<StartedRegistry> {
  const [kind] = QUICK_KINDS;
  if (kind === undefined) throw new Error('no registry');
  return kind.start();
}
