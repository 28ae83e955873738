import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { watchProcess } from '../../bench/process-stats.js';
import { GoogleCloud, TARGET_CONFIG, TARGET_HOST } from '../../fakes/google/cloud.js';
import { buildImage, buildReferrer, loadImage } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import { BUNDLE } from '../../fakes/service.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

/** Uploads of blobs to Artifact Registry, which does not support chunked uploads, and the memory that they need. */

const MIB = 1024 * 1024;
const REPOSITORY = 'my-project-123/mirror/registry.example.com/app';
let google: GoogleCloud | undefined;
afterEach(async () => google?.close());

async function mirror(cloud: GoogleCloud, image: BuiltImage): Promise<{ code: number; peak: number; stderr: string }> {
  const config = join(cloud.folder, 'image-swapper.yaml');
  await writeFile(config, stringify({ target: { type: 'gcp', gcp: TARGET_CONFIG } }));
  const child = spawn(
    process.execPath,
    [...compileCacheFlags(), BUNDLE, 'mirror', '--config', config, cloud.push(image)],
    {
      env: { PATH: process.env['PATH'] ?? '', ...cloud.env },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const watch = watchProcess(child.pid ?? 0);
  const [code] = (await once(child, 'exit')) as [number];
  return { code, peak: watch.stop().peakRss, stderr };
}

describe('uploads to Artifact Registry', () => {
  it('are one PUT each, with the length, and never a PATCH', async () => {
    google = await GoogleCloud.start();
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layersPerPlatform: 2, layerSize: 300_000 });
    expect((await mirror(google, image)).code).toBe(0);
    const { requests } = google.targetPlane;
    expect(requests.filter(({ method }) => method === 'PATCH')).toEqual([]);
    const uploads = requests.filter(({ method, path }) => method === 'PUT' && path.includes('/blobs/uploads/'));
    expect(uploads).toHaveLength(image.blobs.length);
    const lengths = uploads.map(({ headers }) => Number(headers['content-length'])).sort((a, b) => a - b);
    expect(lengths).toEqual(image.blobs.map(({ size }) => size).sort((a, b) => a - b));
    expect(uploads.filter(({ headers }) => headers['transfer-encoding'] !== undefined)).toEqual([]);
    expect(google.target.openUploads).toBe(0);
  });

  it('use the same memory for layers of 20 and of 200 MiB', async () => {
    const peaks: number[] = [];
    for (const layerSize of [20 * MIB, 200 * MIB]) {
      google = await GoogleCloud.start({ target: { keepBlobs: false } });
      const { code, peak } = await mirror(google, buildImage({ platforms: ['linux/amd64'], layerSize }));
      expect(code).toBe(0);
      peaks.push(peak);
      await google.close();
    }
    google = undefined;
    const [small = 0, large = 0] = peaks;
    expect(small).toBeGreaterThan(40);
    // The additional 180 MiB leave only buffers that wait for garbage collection.
    expect(large - small).toBeLessThan(60);
  });
});

describe('signatures', () => {
  it('are copied by their tag when the registry has no referrers API', async () => {
    google = await GoogleCloud.start({ target: { referrers: false } });
    const image = buildImage({ platforms: ['linux/amd64'], layerSize: 5_000 });
    const signature = pushReferrer(google, image);
    expect((await mirror(google, image)).code).toBe(0);
    expect(google.target.manifest(REPOSITORY, signature)).toBeDefined();
    expect(google.target.tags(REPOSITORY)).toContain(image.digest.replace(':', '-'));
  });

  it('that the registry refuses do not prevent the copy of the image', async () => {
    google = await GoogleCloud.start();
    const image = buildImage({ platforms: ['linux/amd64'], layerSize: 5_000 });
    const signature = pushReferrer(google, image);
    const { hook } = google.targetPlane;
    google.proxy.setHook(TARGET_HOST, (request) =>
      request.method === 'PUT' && request.path.endsWith(signature) ? { status: 400, body: '{}' } : hook(request),
    );
    const { code, stderr } = await mirror(google, image);
    expect(code).toBe(0);
    expect(google.target.manifest(REPOSITORY, '1.0')?.digest).toBe(image.digest);
    expect(google.target.manifest(REPOSITORY, signature)).toBeUndefined();
    expect(stderr).toContain('registry.example.com/app:1.0: ');
  });
});

/** Signs the image in the source. @returns the signature's digest */
function pushReferrer(cloud: GoogleCloud, image: BuiltImage): string {
  loadImage(cloud.source, 'app', image, '1.0');
  const top = image.manifests.at(-1);
  if (top === undefined) throw new Error('the image has no manifest');
  const { manifest, blobs } = buildReferrer(top, 'application/vnd.example.signature', 'signed');
  for (const blob of blobs) cloud.source.putBlob('app', blob);
  cloud.source.putManifest('app', manifest.digest, manifest.mediaType, manifest.bytes);
  return manifest.digest;
}
