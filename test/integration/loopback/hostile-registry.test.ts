import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { copyImage } from '../../../extension-service/src/registry/copy.js';
import { RegistryError } from '../../../extension-service/src/registry/errors.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { HostileRegistry, type Attack, type HostileOptions } from '../../fakes/hostile-registry.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry, type FaultRule } from '../../fakes/registry.js';
import { until } from '../../fakes/until.js';

/** Hostile registries with one fault each. The tests check the log and tags of the target. */

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const REPOSITORY = 'mirror/hostile/app';
const OTHERS = 'mirror/others/app';
const MAX_REFERRERS = 20;
const login = { username: 'tenant-a', password: 'CONFPW77' };
const image = buildImage({ layerSize: 500 });
const othersImage = buildImage({ layerSize: 700, seed: 9 });

interface AttackedCopy {
  readonly hostile: HostileRegistry;
  readonly target: FakeRegistry;
  /** The result of the copy. */
  readonly error: RegistryError | undefined;
  readonly digest: string | undefined;
  readonly manifestsPushed: number | undefined;
  /** CPU time of this process during the copy, milliseconds. */
  readonly cpu: number;
}

/** Copies from a hostile registry to a target with a login that also has another tenant's image. */
async function copyFrom(
  attack: Attack,
  more: Partial<HostileOptions> = {},
  timeouts: { readonly headers?: number } = {},
  fault?: FaultRule,
): Promise<AttackedCopy> {
  const hostile = await HostileRegistry.start({ attack, image, ...more });
  cleanups.push(() => hostile.close());
  const target = await FakeRegistry.start({ auth: { type: 'basic', users: { pusher: 'push' } } });
  cleanups.push(() => target.close());
  loadImage(target, OTHERS, othersImage, '1');
  if (fault !== undefined) target.fault(fault);
  const factory = new RegistryFactory({
    endpoints: [hostile, target].map(({ host }) => ({ host, insecure: true })),
    hosts: { allow: [], deny: [] },
    env: {},
    timeouts: { connect: 5_000, headers: 5_000, idle: 5_000, ...timeouts },
    retry: { baseDelay: 1, maxDelay: 5 },
  });
  cleanups.push(() => factory.close());
  const source = factory.client(hostile.host, { resolve: async () => [login] });
  const into = factory.client(target.host, { resolve: async () => [{ username: 'pusher', password: 'push' }] });
  const before = process.cpuUsage();
  const result = await copyImage({
    source: { client: source, reference: { repository: 'hostile/app', tag: 'v1' } },
    target: { client: into, reference: { repository: REPOSITORY, published: 'v1' } },
    referrers: true,
    // A small value keeps the test fast. The default is 300.
    limits: { referrers: MAX_REFERRERS },
  }).catch((error: unknown) => error);
  const { user, system } = process.cpuUsage(before);
  const cpu = (user + system) / 1000;
  if (result instanceof Error) {
    expect(result).toBeInstanceOf(RegistryError);
    return { hostile, target, error: result as RegistryError, digest: undefined, manifestsPushed: undefined, cpu };
  }
  const { digest, manifestsPushed } = result as Awaited<ReturnType<typeof copyImage>>;
  return { hostile, target, error: undefined, digest, manifestsPushed, cpu };
}

/**
 * Checks that requests to the target were only for the source's own repository, and that the other tenant's image is
 * unchanged.
 */
function expectUntouched({ target }: AttackedCopy): void {
  const otherRequests = target.accessLog.filter(
    ({ path }) => path !== '/v2/' && path !== '/token' && !path.startsWith(`/v2/${REPOSITORY}/`),
  );
  expect(otherRequests.map(({ method, path }) => `${method} ${path}`)).toEqual([]);
  expect(target.manifest(OTHERS, '1')?.digest).toBe(othersImage.digest);
}

describe('a hostile registry', () => {
  it.each<readonly [Attack, RegExp]>([
    ['digest-is-a-path', /the Docker-Content-Digest "\.\.\/\.\.\/\.\.\/others\/app\/manifests\/1" is not a digest/],
    ['digest-without-digits', /the Docker-Content-Digest "sha256:" is not a digest/],
    ['digest-of-another-algorithm', /algorithm md5 is not supported/],
    ['digest-is-a-command', /the Docker-Content-Digest "sha256:.*" is not a digest/],
    ['descriptor-is-a-path', /"sha256:\.\.\/\.\.\/\.\.\/others\/manifests\/1" is not a digest/],
    ['brackets', /nested more than 100 levels deep/],
    ['media-type-is-a-header', /mediaType|header says/],
    ['layers-without-end', /descriptors|entries|layers/],
    ['wrong-bytes', /the source sent sha256:/],
    ['redirect-to-metadata', /169\.254\.169\.254 is not an allowed address for images/],
    ['blobs-at-metadata', /169\.254\.169\.254 is not an allowed address for images/],
    ['realm-at-metadata', /169\.254\.169\.254/],
    ['echo-of-the-login', /DENIED/],
  ])('%s: nothing is published, and the error says why', async (attack, message) => {
    const seen = await copyFrom(attack);
    expect(seen.error?.message).toMatch(message);
    expect(seen.error?.host).toBe(seen.hostile.host);
    expect(seen.target.tags(REPOSITORY)).toEqual([]);
    expectUntouched(seen);
  });

  it('digest-is-a-command: the error holds no control character', async () => {
    const { error } = await copyFrom('digest-is-a-command');
    expect(error?.message).not.toMatch(/\p{Cc}/u);
  });

  it('echo-of-the-login: the error holds neither the password nor its base64', async () => {
    const { error } = await copyFrom('echo-of-the-login');
    const text = `${error?.message ?? ''} ${error?.stack ?? ''} ${JSON.stringify(error)}`;
    expect(text).not.toContain(login.password);
    expect(text).not.toContain(Buffer.from(`${login.username}:${login.password}`).toString('base64'));
  });

  it('never-answers: the copy is abandoned, and no upload starts at the target', async () => {
    const { error, hostile, target } = await copyFrom('never-answers', {}, { headers: 100 });
    expect({ kind: error?.kind, host: error?.host }).toEqual({ kind: 'unreachable', host: hostile.host });
    expect(target.accessLog.filter(({ method }) => method === 'POST')).toEqual([]);
  });

  it('layer-drips: the source is blamed when the target ends the upload', async () => {
    const fault = { method: 'PUT', path: '/blobs/uploads/', action: { type: 'cut', milliseconds: 1_500 } } as const;
    const { error, hostile, target } = await copyFrom(
      'layer-drips',
      { image: buildImage({ layerSize: 200_000 }) },
      {},
      fault,
    );
    expect({ kind: error?.kind, host: error?.host }).toEqual({ kind: 'server', host: hostile.host });
    expect(target.tags(REPOSITORY)).toEqual([]);
    await until('its connections are idle or closed', async () => (await hostile.connections()) <= 4);
  });

  it('brackets: the copy uses little CPU', async () => {
    const { cpu, hostile } = await copyFrom('brackets');
    // The copier reads 4 MB once, without retries, and does not parse them.
    expect(hostile.log.filter(({ method, path }) => method === 'GET' && path.includes('/manifests/'))).toHaveLength(1);
    expect(cpu).toBeLessThan(2_000);
  });

  it('refusal-without-end: the connections end', async () => {
    const { hostile, error, target } = await copyFrom('refusal-without-end');
    expect(error?.kind).toBe('forbidden');
    expect(target.tags(REPOSITORY)).toEqual([]);
    await until('no connection is open', async () => (await hostile.connections()) === 0);
  });

  it('layers-of-others: a layer that the registry does not have is not taken from another repository', async () => {
    const [layer] = othersImage.blobs;
    const seen = await copyFrom('layers-of-others', {
      others: { digest: layer?.digest ?? '', size: layer?.size ?? 0 },
    });
    expect(seen.error).toBeDefined();
    expect(seen.target.tags(REPOSITORY)).toEqual([]);
    expect(seen.target.blob(layer?.digest ?? '', REPOSITORY)).toBeUndefined();
    expect(seen.target.accessLog.filter(({ query }) => query.includes('from='))).toEqual([]);
    expectUntouched(seen);
  });

  it('platform-is-null: the complete image is copied', async () => {
    const seen = await copyFrom('platform-is-null');
    expect([seen.error, seen.digest]).toEqual([undefined, seen.hostile.digest]);
    expect(seen.target.manifest(REPOSITORY, 'v1')?.digest).toBe(seen.hostile.digest);
    expectUntouched(seen);
  });

  it('referrers-without-end: the image is copied, with a bounded number of manifests', async () => {
    const seen = await copyFrom('referrers-without-end');
    expect(seen.target.manifest(REPOSITORY, 'v1')?.digest).toBe(image.digest);
    // The number includes each referrer, and the list that a registry without the API needs.
    expect(seen.manifestsPushed).toBeLessThan(image.manifests.length + 6 * MAX_REFERRERS);
    expectUntouched(seen);
  });

  it('realm-of-another-site: its server does not receive the login', async () => {
    const logins: string[] = [];
    const other = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (piece) => logins.push(piece.toString('latin1')));
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.2', resolve));
    cleanups.push(() => void other.close());
    const { port } = other.address() as { port: number };
    const seen = await copyFrom('realm-of-another-site', { realm: `http://127.0.0.2:${port}/token` });
    expect(seen.error).toBeDefined();
    expect(seen.target.tags(REPOSITORY)).toEqual([]);
    expect(logins.join('')).not.toMatch(/authorization/i);
    expect(seen.hostile.log.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
  });
});

describe('a target that sends uploads elsewhere', () => {
  it.each(['http://169.254.169.254/latest', 'http://[fd00:ec2::254]/latest', 'http://[64:ff9b:1::a9fe:a9fe]/x'])(
    'to %s is not followed',
    async (location) => {
      const source = await FakeRegistry.start();
      const target = await FakeRegistry.start();
      cleanups.push(
        () => source.close(),
        () => target.close(),
      );
      loadImage(source, 'library/app', image, 'v1');
      target.fault({
        method: 'POST',
        path: '/uploads/',
        action: { type: 'header', name: 'location', value: location },
      });
      const factory = new RegistryFactory({
        endpoints: [source, target].map(({ host }) => ({ host, insecure: true })),
        hosts: { allow: [], deny: [] },
        env: {},
        timeouts: { connect: 5_000, headers: 5_000, idle: 5_000 },
        retry: { attempts: 1 },
      });
      cleanups.push(() => factory.close());
      const anonymous = { resolve: async () => [] };
      const copy = copyImage({
        source: { client: factory.client(source.host, anonymous), reference: { repository: 'library/app', tag: 'v1' } },
        target: {
          client: factory.client(target.host, anonymous),
          reference: { repository: REPOSITORY, published: 'v1' },
        },
      });
      await expect(copy).rejects.toMatchObject({ kind: 'refused', host: target.host });
      expect(target.tags(REPOSITORY)).toEqual([]);
      expect(target.accessLog.filter(({ method }) => method === 'PUT' || method === 'PATCH')).toEqual([]);
    },
  );
});
