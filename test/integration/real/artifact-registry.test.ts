import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { ADMIN_PERMISSIONS, GoogleCloud, POD_ACCOUNT, TARGET_CONFIG, TARGET_HOST } from '../../fakes/google/cloud.js';
import { buildImage } from '../../fakes/images.js';
import { runProgram } from '../../fakes/program.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { craneProgram } from '../../tools/crane.js';
import { goToolsAvailable } from '../../tools/tool.js';

/** The distribution project's registry behind Artifact Registry's login is the target. crane reads the result. */

const run = promisify(execFile);
const available = await goToolsAvailable('Artifact Registry before a real registry');
let google: GoogleCloud;
let real: RealRegistry;
let crane: string;

beforeAll(async () => {
  if (!available) return;
  crane = await craneProgram();
  [google, real] = await Promise.all([GoogleCloud.start(), RealRegistry.start()]);
  google.proxy.setBackend(TARGET_HOST, `http://${real.host}`);
}, 900_000);
afterAll(async () => {
  if (available) await Promise.all([google.close(), real.stop()]);
});

describe.runIf(available)('a real registry in the role of Artifact Registry', () => {
  it('receives an image with all its platforms in a repository that the push creates', async () => {
    google.api.state.repositories.clear();
    google.api.state.permissions.set(POD_ACCOUNT, new Set(ADMIN_PERMISSIONS));
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layersPerPlatform: 3, layerSize: 100_000 });
    const config = join(google.folder, 'image-swapper.yaml');
    const target = { type: 'gcp', gcp: { ...TARGET_CONFIG, createRepository: true } };
    await writeFile(config, stringify({ target }));
    const args = ['mirror', '--config', config, google.push(image)];
    expect(await runProgram(args, google.env)).toMatchObject({ code: 0 });
    const mirrored = `${real.host}/my-project-123/mirror/registry.example.com/app`;
    expect((await run(crane, ['digest', '--insecure', `${mirrored}:1.0`])).stdout.trim()).toBe(image.digest);
    for (const [platform, digest] of image.platforms) {
      const found = await run(crane, ['digest', '--insecure', '--platform', platform, `${mirrored}:1.0`]);
      expect(found.stdout.trim()).toBe(digest);
    }
    expect(google.api.methods().filter((method) => method === 'CreateRepository')).toHaveLength(1);
    // The registry's log shows no chunks and one PUT for each blob and manifest.
    const puts = real.accessLog().filter(({ method, status }) => method === 'PUT' && status === 201);
    expect(puts).toHaveLength(image.blobs.length + image.manifests.length);
    expect(real.accessLog().filter(({ method }) => method === 'PATCH')).toEqual([]);
    // A second run does not send anything and does not call the API.
    const before = [real.accessLog().length, google.api.requests.length];
    expect((await runProgram(args, google.env)).stdout).toContain('up-to-date');
    const after = real.accessLog().slice(before[0]);
    expect(after.filter(({ method }) => method !== 'HEAD' && method !== 'GET')).toEqual([]);
    expect(after.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'))).toEqual([]);
    expect(google.api.requests).toHaveLength(before[1] ?? 0);
  });
});
