import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PullContext } from '../../../extension-service/src/core/decide/mirror-job.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import type { SourceAccess } from '../../../extension-service/src/core/decide/source-access.js';
import { DockerConfigSource } from '../../../extension-service/src/credentials/docker-config-source.js';
import { keyring } from '../../../extension-service/src/credentials/keychain.js';
import { SourceAccessChecks } from '../../../extension-service/src/mirror/source-access-checks.js';
import { Registries } from '../../../extension-service/src/targets/registries.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import type { FakeAuthOptions } from '../../fakes/registry.js';
import { configOf, ociTarget } from '../../unit/decide/rules-of.js';

const image = buildImage({ layerSize: 100 });
const top = image.manifests.at(-1) ?? expect.fail('no manifest');
const MINUTE = 60_000;
const USERS = { alice: 'alice-word', bob: 'bob-word', service: 'service-word' };
const AUTH: FakeAuthOptions = {
  type: 'bearer',
  users: USERS,
  permissions: { alice: { 'team/app': ['pull'] }, bob: { 'other/app': ['pull'] }, service: { '*': ['pull'] } },
};

let source: FakeRegistry;
let folder: string;
let now: number;
/** The user of the pull secrets, by namespace. */
let secrets: Record<string, keyof typeof USERS | undefined>;
let shown: boolean;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  source = await FakeRegistry.start({ auth: AUTH });
  loadImage(source, 'team/app', image, '1');
  [now, shown] = [Date.UTC(2030, 0), false];
  secrets = { 'team-a': 'alice', 'team-b': 'bob' };
});

afterEach(async () => {
  await source.close();
  await rm(folder, { recursive: true });
});

const login = (user: keyof typeof USERS) => ({ username: user, password: USERS[user] });

interface Setting {
  readonly shared?: keyof typeof USERS;
  readonly dockerConfig?: keyof typeof USERS;
  /** The user of a target in the source's registry; undefined for a target in another registry. */
  readonly target?: keyof typeof USERS;
}

async function open({ shared, dockerConfig, target }: Setting = {}): Promise<SourceAccessChecks> {
  const insecure = { registry: source.host, insecure: true, prefix: '' };
  const entry = { type: 'oci', oci: { ...insecure, ...(shared && { credentials: login(shared) }) } };
  const own = {
    name: 'default',
    type: 'oci',
    oci: { ...insecure, prefix: 'm', ...(target && { credentials: login(target) }) },
  };
  const config = configOf({
    source: { ...configOf().source, registries: target === undefined ? [entry] : [], accessCheck: 'pullSecrets' },
    target: target === undefined ? ociTarget('mirror.test') : own,
  });
  if (dockerConfig !== undefined)
    await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: { [source.host]: login(dockerConfig) } }));
  const registries = new Registries(config, {
    env: { DOCKER_CONFIG: folder, HOME: folder },
    readSecret: () => Promise.reject(new Error('no Secrets here')),
    report: () => undefined,
    cloud: () => undefined,
    retry: { attempts: 1 },
  });
  return new SourceAccessChecks({
    current: () => ({ registries, shared: config.source.registries }),
    forPod: async ({ namespace }) => {
      const user = secrets[namespace];
      if (user === undefined) return undefined;
      const text = JSON.stringify({ auths: { [source.host]: login(user) } });
      return keyring([
        new DockerConfigSource(
          namespace,
          () => text,
          () => undefined,
        ),
      ]);
    },
    isShown: async () => shown,
    now: () => now,
  });
}

function jobOf(namespace: string, more: Partial<MirrorJob> & { readonly unproven?: true } = {}): MirrorJob {
  const { unproven, ...rest } = more;
  const pull: PullContext = { namespace, serviceAccount: 'default', secretNames: ['s'], ...(unproven && { unproven }) };
  const reference = { registry: 'mirror.test', repository: 'r', shownAs: '1', published: '1', text: 'mirror.test/r:1' };
  return {
    key: 'k',
    source: `${source.host}/team/app:1`,
    target: 'default',
    reference,
    platforms: 'all',
    force: false,
    pull,
    ...rest,
  };
}

/** Returns `granted everybody`, `granted pod`, `refused` or `unknown`. */
async function ask(
  checks: SourceAccessChecks,
  namespace: string,
  more: Parameters<typeof jobOf>[1] = {},
  digest: string | undefined = image.digest,
): Promise<string> {
  const access: SourceAccess = await checks.check(jobOf(namespace, more), digest, 30_000);
  return access.state === 'granted' ? `granted ${access.to}` : access.state;
}

const manifestRequests = (): string[] =>
  source.accessLog.filter(({ path }) => path.includes('/manifests/')).map(({ method }) => method);

describe('access to an image at its source', () => {
  it.each<readonly [string, Setting & { readonly anonymous?: boolean }, string, string]>([
    ['the Pod whose secret reads it', {}, 'team-a', 'granted pod'],
    ['not the Pod whose secret reads another repository', {}, 'team-b', 'refused'],
    ['not a Pod without a secret', {}, 'team-c', 'refused'],
    ['everybody, where it is read anonymously', { anonymous: true }, 'team-c', 'granted everybody'],
    ['everybody, where source.registries reads it', { shared: 'service' }, 'team-c', 'granted everybody'],
    ['not everybody, where source.registries reads another one', { shared: 'bob' }, 'team-c', 'refused'],
    [
      'not everybody, where the Docker config of the service reads it',
      { dockerConfig: 'service' },
      'team-c',
      'refused',
    ],
    ['not everybody, where the login of a target reads it', { target: 'service' }, 'team-c', 'refused'],
  ])('%s', async (_, { anonymous = false, ...setting }, namespace, expected) => {
    if (anonymous) {
      await source.close();
      source = await FakeRegistry.start({ auth: AUTH, anonymousPull: true });
      loadImage(source, 'team/app', image, '1');
    }
    expect(await ask(await open(setting), namespace)).toBe(expected);
  });

  it('is checked by HEAD of the digest only, so that a moved tag has no effect', async () => {
    const checks = await open();
    source.deleteManifest('team/app', '1');
    source.putManifest('team/app', image.digest, top.mediaType, top.bytes);
    expect(await ask(checks, 'team-a')).toBe('granted pod');
    expect(source.accessLog.filter(({ status, path }) => status === 200 && path.includes('/manifests/'))).toEqual([
      expect.objectContaining({ method: 'HEAD', path: `/v2/team/app/manifests/${image.digest}` }),
    ]);
  });

  const other = `sha256:${'0'.repeat(64)}`;
  it.each<readonly [string, MirrorJob['platforms'], string | undefined, string]>([
    ['refused by a digest that the source does not have', 'all', other, 'refused'],
    ['asked by name for an index that was cut down', ['linux/amd64'], other, 'granted pod'],
    ['asked by name where the digest is not known', 'all', undefined, 'granted pod'],
  ])('is %s', async (_, platforms, digest, expected) => {
    const access = await (await open()).check(jobOf('team-a', { platforms }), digest, 30_000);
    expect(access.state === 'granted' ? `granted ${access.to}` : access.state).toBe(expected);
  });

  it('names host, image and reason', async () => {
    const access = await (await open()).check(jobOf('team-c'), image.digest, 30_000);
    const message = expect.stringMatching(
      new RegExp(
        `^${source.host}/team/app:1: the Pod cannot read it.* no pull secret of the Pod or its ServiceAccount is for ${source.host}$`,
      ),
    ) as unknown;
    expect(access).toEqual({ state: 'refused', message });
  });
});

describe('an answer of the service', () => {
  it('is kept for ten minutes by credentials and digest, then requested again', async () => {
    const checks = await open();
    expect([await ask(checks, 'team-a'), await ask(checks, 'team-a')]).toEqual(['granted pod', 'granted pod']);
    const asked = manifestRequests().length;
    now += 9 * MINUTE;
    expect(await ask(checks, 'team-a')).toBe('granted pod');
    expect(manifestRequests()).toHaveLength(asked);
    // The namespace now has different credentials, so the earlier result does not apply.
    secrets['team-a'] = 'bob';
    expect(await ask(checks, 'team-a')).toBe('refused');
    secrets['team-a'] = 'alice';
    now += 2 * MINUTE;
    source.deleteManifest('team/app', image.digest);
    expect(await ask(checks, 'team-a')).toBe('refused');
  });

  it('that was positive remains valid for a day while the source is unavailable', async () => {
    const checks = await open();
    expect([await ask(checks, 'team-a'), await ask(checks, 'team-b')]).toEqual(['granted pod', 'refused']);
    await source.close();
    now += 23 * 60 * MINUTE;
    expect([await ask(checks, 'team-a'), await ask(checks, 'team-b')]).toEqual(['granted pod', 'unknown']);
    now += 2 * 60 * MINUTE;
    expect(await ask(checks, 'team-a')).toBe('unknown');
  });

  it('is given in time when the source hangs: the last positive one, or none', async () => {
    const checks = await open();
    expect(await ask(checks, 'team-a')).toBe('granted pod');
    now += 11 * MINUTE;
    source.fault({ path: /manifests/, action: { type: 'hang' } });
    const access = await Promise.all([checks, await open()].map((one) => one.check(jobOf('team-a'), image.digest, 50)));
    expect(access.map(({ state }) => state)).toEqual(['granted', 'unknown']);
  });

  it('that was negative is requested again after half a minute', async () => {
    const checks = await open();
    secrets['team-a'] = 'bob';
    expect(await ask(checks, 'team-a')).toBe('refused');
    const asked = manifestRequests().length;
    expect(await ask(checks, 'team-a')).toBe('refused');
    expect(manifestRequests()).toHaveLength(asked);
    now += MINUTE;
    expect(await ask(checks, 'team-a')).toBe('refused');
    expect(manifestRequests().length).toBeGreaterThan(asked);
  });

  it('for a caller without authentication uses secrets once the API server shows the Pod', async () => {
    const checks = await open();
    expect(await ask(checks, 'team-a', { unproven: true })).toBe('refused');
    expect(source.accessLog.map(({ user }) => user)).not.toContain('alice');
    shown = true;
    // The service reads the secrets again only after a few seconds, because any client can cause this request to the
    // API server.
    expect(await ask(checks, 'team-a', { unproven: true })).toBe('refused');
    now += 10_000;
    expect(await ask(checks, 'team-a', { unproven: true })).toBe('granted pod');
  });

  it('does not wait for a namespace whose sources hang', async () => {
    const checks = await open();
    source.fault({ path: /hanging/, action: { type: 'hang' } });
    const hanging = Array.from({ length: 200 }, (_, n) =>
      checks.check(jobOf('team-b', { source: `${source.host}/hanging/app:${n}` }), undefined, 50),
    );
    const states = (await Promise.all(hanging)).map((access) => (access.state === 'granted' ? '' : access.message));
    expect(states.filter((message) => message.includes('too many images are being checked'))).toHaveLength(136);
  });
});
