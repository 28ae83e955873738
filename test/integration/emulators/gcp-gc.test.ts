import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import {
  GoogleCloud,
  POD_ACCOUNT,
  REPO_ADMIN_PERMISSIONS,
  TARGET_CONFIG,
  TARGET_REPOSITORY,
  WRITER_PERMISSIONS,
} from '../../fakes/google/cloud.js';
import { buildImage, buildReferrer, loadImage } from '../../fakes/images.js';
import { runProgram } from '../../fakes/program.js';
import { putUsageRecord } from '../../fakes/usage-record.js';

/** `gc` in Artifact Registry, which refuses to delete a manifest while a tag, an index or a referrer names it. */

const PATH = 'my-project-123/mirror';
const APP = `${PATH}/docker.io/library/app`;
const DAY_SECONDS = 86_400;
const now = Math.floor(Date.now() / 1_000);
const [old, used] = [buildImage({ seed: 1 }), buildImage({ seed: 2 })];
let google: GoogleCloud;

beforeAll(async () => {
  google = await GoogleCloud.start();
});
afterAll(() => google.close());
beforeEach(() => {
  for (const digest of google.target.digests(APP)) google.target.deleteManifest(APP, digest);
  google.targetPlane.requests.length = 0;
  google.api.requests.length = 0;
  google.api.state.permissions.set(POD_ACCOUNT, new Set(REPO_ADMIN_PERMISSIONS));
  setImmutableTags(false);
  loadImage(google.target, APP, old, 'old');
  loadImage(google.target, APP, old, 'keep-0123456789ab');
  loadImage(google.target, APP, used, 'used');
  record({ old: 40, 'keep-0123456789ab': 40, used: 1 });
});

function setImmutableTags(immutableTags: boolean): void {
  google.api.state.repositories.set(TARGET_REPOSITORY, {
    ...{ name: TARGET_REPOSITORY, format: 'DOCKER', mode: 'STANDARD_REPOSITORY' },
    dockerConfig: { immutableTags },
  });
}

/** Last uses in days ago. */
function record(uses: Readonly<Record<string, number>>): void {
  const times = Object.entries(uses).map(([tag, days]): [string, number] => [
    `${APP}:${tag}`,
    now - days * DAY_SECONDS,
  ]);
  putUsageRecord(google.target, 'east', { now, path: PATH, uses: new Map(times) });
}

interface Row {
  readonly image: string;
  readonly state: string;
  readonly reason: string;
}

async function gc(): Promise<{ readonly code: number | null; readonly rows: readonly Row[] }> {
  const file = join(google.folder, 'gc.yaml');
  const gcp = {
    ...TARGET_CONFIG,
    cleanupPolicies: [{ name: 'recent', action: 'keep', mostRecentVersions: { keepCount: 5 } }],
  };
  await writeFile(file, stringify({ target: { type: 'gcp', gcp }, gc: { clusters: ['east'] } }));
  const { code, stdout, stderr } = await runProgram(['gc', '--config', file, '-o', 'json'], google.env);
  if (stdout === '') throw new Error(stderr);
  return { code, rows: (JSON.parse(stdout) as { readonly images: readonly Row[] }).images };
}

const deletions = (): string[] =>
  google.targetPlane.requests
    .filter(({ method }) => method === 'DELETE')
    .map(({ path }) => path.replace(`/v2/${APP}/manifests/`, ''));

describe('gc at Artifact Registry', () => {
  it('deletes the tags of an image, keeper tags too, then its index, then the platforms, and changes no policy', async () => {
    const ended = await gc();
    expect(ended.code).toBe(0);
    expect(ended.rows.map(({ image, state }) => `${state} ${image.slice(-64)}`).sort()).toEqual(
      [`deleted ${old.digest.slice(-64)}`, `kept ${used.digest.slice(-64)}`].sort(),
    );
    const [first, second, index, ...platforms] = deletions();
    expect([first, second].sort()).toEqual(['keep-0123456789ab', 'old']);
    expect(index).toBe(old.digest);
    expect(platforms.sort()).toEqual([...old.platforms.values()].sort());
    expect(google.target.digests(APP).sort()).toEqual(used.manifests.map(({ digest }) => digest).sort());
    expect(google.target.tags(APP)).toEqual(['used']);
    expect(google.api.methods()).not.toContain('UpdateRepository');
  });

  it('keeps the tags of an image that the registry keeps for its signature, and says why', async () => {
    const top = old.manifests.at(-1);
    if (top === undefined) throw new Error('no index');
    const { manifest } = buildReferrer(top, 'application/x', 'signature');
    google.target.putManifest(APP, manifest.digest, manifest.mediaType, manifest.bytes);
    const ended = await gc();
    expect(ended.code).toBe(1);
    expect(ended.rows.find(({ state }) => state === 'failed')?.reason).toContain(
      `Manifest is still referenced by one or more parent images: ${manifest.digest}`,
    );
    expect(google.target.tags(APP)).toEqual(['keep-0123456789ab', 'old', 'used']);
    expect(google.target.manifest(APP, 'old')?.digest).toBe(old.digest);
  });

  it('keeps images whose tags are immutable', async () => {
    setImmutableTags(true);
    const ended = await gc();
    expect(ended.code).toBe(1);
    expect(ended.rows.find(({ state }) => state === 'failed')?.reason).toMatch(
      /Tag \S+ is immutable and cannot be deleted/,
    );
    expect(google.target.tags(APP)).toEqual(['keep-0123456789ab', 'old', 'used']);
  });

  it('names the permission that a writer role lacks, and deletes nothing', async () => {
    google.api.state.permissions.set(POD_ACCOUNT, new Set(WRITER_PERMISSIONS));
    const ended = await gc();
    expect(ended.code).toBe(1);
    expect(ended.rows.find(({ state }) => state === 'failed')?.reason).toMatch(
      /artifactregistry\.repositories\.deleteArtifacts.*; allow the account to delete there$/,
    );
    expect(google.target.tags(APP)).toEqual(['keep-0123456789ab', 'old', 'used']);
  });

  it('skips tags or platforms that a cleanup policy has deleted', async () => {
    for (const { digest } of old.manifests) google.target.deleteManifest(APP, digest);
    expect(await gc()).toMatchObject({ code: 0, rows: [{ state: 'kept' }] });
    loadImage(google.target, APP, old, 'old');
    google.target.deleteManifest(APP, old.platforms.get('linux/arm64') ?? '');
    const ended = await gc();
    expect(ended.code).toBe(0);
    expect(google.target.tags(APP)).toEqual(['used']);
  });
});
