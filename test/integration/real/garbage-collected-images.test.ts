import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { pushImage } from '../../bench/push-image.js';
import { buildImage } from '../../fakes/images.js';
import { runHere } from '../../fakes/program.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { debianTool } from '../../tools/debian.js';
import { goToolsAvailable } from '../../tools/tool.js';

/**
 * Images that the garbage collection of a real registry deleted. The tests read them from the registry after the
 * repair.
 */

const available = await goToolsAvailable("the distribution project's registry");
const old = debianTool('docker-registry');
const VERSIONS = [['3', undefined], ...(old === undefined ? [] : [['2.8', old] as const])] as const;

describe.runIf(available).each(VERSIONS)('a target of distribution %s that collects its garbage', (_, program) => {
  const image = buildImage({ layerSize: 7_000 });
  let folder: string;
  let source: RealRegistry;
  let target: RealRegistry;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-garbage-'));
    source = await RealRegistry.start();
    target = await RealRegistry.start({ cachesBlobs: true, ...(program !== undefined && { program }) });
    await pushImage(source.host, 'app', image, '1');
    const registry = (host: string): object => ({ registry: host, insecure: true });
    const sources = [{ type: 'oci', oci: registry(source.host) }];
    const config = { target: { type: 'oci', oci: registry(target.host) }, source: { registries: sources } };
    await writeFile(join(folder, 'image-swapper.yaml'), stringify(config));
  });
  afterAll(async () => {
    await Promise.all([source.stop(), target.stop()]);
    await rm(folder, { recursive: true });
  });

  const repository = (): string => `http://${target.host}/v2/${source.host.replace(':', '_')}/app`;

  async function mirror(...flags: readonly string[]): Promise<void> {
    const args = ['mirror', '--config', 'image-swapper.yaml', `${source.host}/app:1`, ...flags];
    const { code, stdout } = await runHere(args, { env: { HOME: folder }, cwd: folder });
    expect({ code, stdout }).toMatchObject({ code: 0 });
  }

  async function expectReadable(): Promise<void> {
    for (const { digest, mediaType, bytes } of image.manifests) {
      const answer = await fetch(`${repository()}/manifests/${digest}`, { headers: { accept: mediaType } });
      expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    }
    for (const { digest, size } of image.blobs) {
      const answer = await fetch(`${repository()}/blobs/${digest}`);
      expect((await answer.arrayBuffer()).byteLength).toBe(size);
    }
  }

  it('has the image again after its manifest was deleted, although it reports that it still has the layers', async () => {
    await mirror();
    for (const { digest } of image.manifests)
      expect((await fetch(`${repository()}/manifests/${digest}`, { method: 'DELETE' })).status).toBe(202);
    await target.collectGarbage();
    const [blob] = image.blobs;
    expect((await fetch(`${repository()}/blobs/${blob?.digest ?? ''}`, { method: 'HEAD' })).status).toBe(200);
    await mirror();
    await expectReadable();
  });
});
