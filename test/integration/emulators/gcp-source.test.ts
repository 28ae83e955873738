import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { DataPlane } from '../../fakes/google/data-plane.js';
import { GoogleCloud, PLAIN_HOST, POD_ACCOUNT, SOURCE_HOST, TARGET_CONFIG } from '../../fakes/google/cloud.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { runProgram } from '../../fakes/program.js';
import type { ProgramResult } from '../../fakes/program.js';
import { FakeRegistry } from '../../fakes/registry.js';

/** Images from Google's registries. The tests check the login of each request, and which hosts get no login. */

let google: GoogleCloud;
let plain: FakeRegistry;
const image = buildImage({ platforms: ['linux/amd64'], layerSize: 5_000 });
const APP = `${SOURCE_HOST}/team-project/apps/app:1.0`;
const TEAM_ACCOUNT = 'team-reader@my-project-123.iam.gserviceaccount.com';
const OTHER_ACCOUNT = 'other-reader@my-project-123.iam.gserviceaccount.com';
const KEY_ACCOUNT = 'robot@my-project-123.iam.gserviceaccount.com';

beforeEach(async () => {
  google = await GoogleCloud.start();
  plain = await FakeRegistry.start();
  loadImage(google.source, 'team-project/apps/app', image, '1.0');
  for (const identity of [TEAM_ACCOUNT, OTHER_ACCOUNT, KEY_ACCOUNT]) {
    google.api.state.permissions.set(identity, new Set(['artifactregistry.repositories.downloadArtifacts']));
  }
  google.auth.impersonators.set(POD_ACCOUNT, [TEAM_ACCOUNT, OTHER_ACCOUNT]);
});
afterEach(async () => {
  await Promise.all([google.close(), plain.close()]);
});

async function mirror(
  images: readonly string[],
  config: Record<string, unknown>,
  env: Readonly<Record<string, string>> = google.env,
): Promise<ProgramResult> {
  const file = join(google.folder, 'image-swapper.yaml');
  const target = { type: 'oci', oci: { registry: plain.host, insecure: true } };
  await writeFile(file, stringify({ target, ...config }));
  return runProgram(['mirror', '--config', file, ...images], env);
}

const source = (projectId: string, repositoryId: string, more: Record<string, unknown> = {}): object => ({
  type: 'gcp',
  gcp: { location: 'us-central1', projectId, repositoryId, ...more },
});

/** Returns the identities that read content, without the requests that only got a challenge. */
const readers = (plane: DataPlane, part = ''): ReadonlySet<unknown> =>
  new Set(
    plane.requests
      .filter(({ path, identity }) => path.includes(part) && identity !== undefined)
      .map(({ identity }) => identity),
  );

const mirrored = (repository: string, tag: string): string | undefined => plain.manifest(repository, tag)?.digest;

describe('one login for all of Google', () => {
  it("reads other projects, other locations and Container Registry with the target's token", async () => {
    loadImage(google.source, 'google-samples/hello', image, '2.0');
    // A registry outside Google that requests a login in the same way as Google's.
    const other = new DataPlane({ host: PLAIN_HOST, tokens: google.tokens });
    other.public.add('team/public');
    google.proxy.setHook(PLAIN_HOST, other.hook);
    const images = [APP, 'gcr.io/google-samples/hello:2.0', google.push(image, 'team/public/app:1.0')];
    const result = await mirror(images, { target: { type: 'gcp', gcp: TARGET_CONFIG } });
    expect(result).toMatchObject({ code: 0 });
    const inTarget = 'my-project-123/mirror';
    expect(google.target.manifest(`${inTarget}/${SOURCE_HOST}/team-project/apps/app`, '1.0')?.digest).toBe(
      image.digest,
    );
    expect(google.target.manifest(`${inTarget}/gcr.io/google-samples/hello`, '2.0')?.digest).toBe(image.digest);
    expect(readers(google.sourcePlane)).toEqual(new Set([POD_ACCOUNT]));
    expect(readers(google.gcrPlane)).toEqual(new Set([POD_ACCOUNT]));
    expect(google.metadata.tokenRequests()).toHaveLength(1);
    expect(readers(other)).toEqual(new Set(['anonymous']));
    expect(other.logins).toEqual([]);
  });

  it('is used for a source when the target is another registry', async () => {
    const result = await mirror([APP], { source: { registries: [source('team-project', 'apps')] } });
    expect(result).toMatchObject({ code: 0 });
    expect(mirrored(`${SOURCE_HOST}/team-project/apps/app`, '1.0')).toBe(image.digest);
    expect(readers(google.sourcePlane)).toEqual(new Set([POD_ACCOUNT]));
    expect(plain.accessLog.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
  });
});

describe('a service account for a source', () => {
  it('reads only its own repository: each source on a host has its own account', async () => {
    loadImage(google.source, 'team-project/other/app', image, '1.0');
    loadImage(google.source, 'third-project/third/app', image, '1.0');
    for (const name of [
      'team-project/locations/us-central1/repositories/other',
      'third-project/locations/us-central1/repositories/third',
    ]) {
      google.api.state.repositories.set(`projects/${name}`, { format: 'DOCKER' });
    }
    google.sourcePlane.public.add('third-project/third');
    const images = ['team-project/apps/app', 'team-project/other/app', 'third-project/third/app'];
    const registries = [
      source('team-project', 'apps', { serviceAccount: TEAM_ACCOUNT }),
      source('team-project', 'other', { serviceAccount: OTHER_ACCOUNT }),
    ];
    const result = await mirror(
      images.map((name) => `${SOURCE_HOST}/${name}:1.0`),
      { source: { registries } },
    );
    expect(result).toMatchObject({ code: 0 });
    expect(readers(google.sourcePlane, '/apps/')).toEqual(new Set([TEAM_ACCOUNT]));
    expect(readers(google.sourcePlane, '/other/')).toEqual(new Set([OTHER_ACCOUNT]));
    expect(readers(google.sourcePlane, '/third/')).toEqual(new Set(['anonymous']));
  });

  it("wins over the target's login for its own repository", async () => {
    const registries = [source('team-project', 'apps', { serviceAccount: TEAM_ACCOUNT })];
    await mirror([APP], { target: { type: 'gcp', gcp: TARGET_CONFIG }, source: { registries } });
    expect(readers(google.sourcePlane)).toEqual(new Set([TEAM_ACCOUNT]));
    expect(readers(google.targetPlane)).toEqual(new Set([POD_ACCOUNT]));
  });
});

describe('without a login', () => {
  it('reads public images', async () => {
    google.sourcePlane.public.add('team-project/apps');
    const result = await mirror([APP], {}, google.outside);
    expect(result).toMatchObject({ code: 0 });
    expect(readers(google.sourcePlane)).toEqual(new Set(['anonymous']));
    expect(google.sourcePlane.logins).toEqual([]);
  });

  it('reads public images although a source has no login, and reports it', async () => {
    google.sourcePlane.public.add('team-project/apps');
    const registries = [source('private-project', 'private')];
    const result = await mirror([APP], { source: { registries } }, google.outside);
    expect(result).toMatchObject({ code: 0 });
    expect(mirrored(`${SOURCE_HOST}/team-project/apps/app`, '1.0')).toBe(image.digest);
    expect(result.stderr).toContain(
      `source ${SOURCE_HOST}/private-project/private: ${SOURCE_HOST}: no credentials file is set`,
    );
  });
});

describe('keys in a Docker config', () => {
  it.each(['_json_key', '_json_key_base64'])('of the user %s', async (user) => {
    // The key has many lines, as in the console's format.
    const key = JSON.stringify(google.auth.keyFile(KEY_ACCOUNT), undefined, 2);
    google.sourcePlane.keys.add(key);
    const password = user === '_json_key' ? key : Buffer.from(key).toString('base64');
    const auth = Buffer.from(`${user}:${password}`).toString('base64');
    await mkdir(join(google.folder, 'docker'));
    await google.writeJson('docker/config.json', { auths: { [`https://${SOURCE_HOST}`]: { auth } } });
    const env = { ...google.outside, DOCKER_CONFIG: join(google.folder, 'docker') };
    const result = await mirror([APP], {}, env);
    expect(result).toMatchObject({ code: 0 });
    expect(readers(google.sourcePlane)).toEqual(new Set([KEY_ACCOUNT]));
    expect(new Set(google.sourcePlane.logins)).toEqual(new Set([user]));
  });
});
