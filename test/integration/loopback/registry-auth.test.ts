import { afterEach, describe, expect, it } from 'vitest';
import type { RegistryClient } from '../../../extension-service/src/registry/client.js';
import { RegistryFactory, type RegistryFactoryOptions } from '../../../extension-service/src/registry/factory.js';
import type { Credentials } from '../../../extension-service/src/registry/types.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { TokenIssuer } from '../../fakes/registry-auth.js';
import { FakeRegistry, type FakeRegistryOptions } from '../../fakes/registry.js';

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const image = buildImage({ layerSize: 100 });

async function start(options: FakeRegistryOptions): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options);
  cleanups.push(() => registry.close());
  loadImage(registry, 'team/app', image, 'v1');
  return registry;
}

function client(
  registry: FakeRegistry,
  credentials: readonly Credentials[],
  options: Partial<RegistryFactoryOptions> & {
    readonly ca?: string;
    readonly tokenHosts?: readonly string[];
    readonly hides?: boolean;
  } = {},
): RegistryClient {
  const { ca, tokenHosts, hides: hidesFromAnonymous = false, ...rest } = options;
  const endpoint = {
    host: registry.host,
    insecure: ca === undefined,
    ...(ca !== undefined && { ca }),
    ...(tokenHosts && { tokenHosts }),
  };
  const factory = new RegistryFactory({
    endpoints: [endpoint],
    hosts: { allow: [], deny: [] },
    env: {},
    retry: { baseDelay: 1, maxDelay: 5 },
    ...rest,
  });
  cleanups.push(() => factory.close());
  const keychain = { resolve: async (host: string) => (host === registry.host ? credentials : []) };
  return factory.client(registry.host, keychain, { hidesFromAnonymous });
}

const good = { username: 'user', password: 'secret' };
const bad = { username: 'user', password: 'wrong' };
const users = { user: 'secret', reader: 'secret' };
const tokenRequests = (registry: FakeRegistry): string[] => registry.requests(({ path }) => path === '/token');

describe.each(['basic', 'bearer'] as const)('a registry with %s authentication', (type) => {
  it.each([
    ['the credential', [good], true],
    ['the first that works', [bad, { username: 'nobody', password: 'x' }, good], true],
    ['none that works', [bad], false],
    ['none at all', [], false],
  ] as const)('is read with %s', async (_, credentials, works) => {
    const registry = await start({ auth: { type, users } });
    const request = client(registry, credentials).getManifest('team/app', 'v1');
    if (works) expect((await request).digest).toBe(image.digest);
    else await expect(request).rejects.toMatchObject({ kind: 'unauthorized', retryable: false, host: registry.host });
  });

  it('is read anonymously when the credentials are wrong and the repository is public', async () => {
    const registry = await start({ auth: { type, users }, anonymousPull: true });
    expect((await client(registry, [bad]).getManifest('team/app', 'v1')).digest).toBe(image.digest);
  });

  it('remembers which credential works', async () => {
    const registry = await start({ auth: { type, users } });
    const reader = client(registry, [bad, good]);
    await reader.getManifest('team/app', 'v1');
    const before = registry.accessLog.length;
    await reader.getManifest('team/app', 'v1');
    expect(registry.accessLog.slice(before).map(({ status }) => status)).toEqual([200]);
  });

  it('names the identity that lacks push permission', async () => {
    const permissions = { reader: { '*': ['pull'] } };
    const registry = await start({ auth: { type, users, permissions } });
    const reader = client(registry, [{ username: 'reader', password: 'secret' }]);
    expect((await reader.getManifest('team/app', 'v1')).digest).toBe(image.digest);
    const top = image.manifests.at(-1);
    if (top === undefined) throw new Error('no index');
    const kind = type === 'basic' ? /forbidden|unauthorized/ : /unauthorized/;
    await expect(reader.putManifest('team/app', 'v2', top)).rejects.toMatchObject({
      kind: expect.stringMatching(kind) as string,
    });
    expect(registry.tags('team/app')).toEqual(['v1']);
  });

  it('keeps passwords and tokens out of errors', async () => {
    const registry = await start({ auth: { type, users } });
    const error = (await client(registry, [bad])
      .getManifest('team/app', 'v1')
      .catch((reason: unknown) => reason)) as Error;
    expect(`${error.message} ${error.stack ?? ''} ${JSON.stringify(error)}`).not.toMatch(
      /wrong|d3Jvbmc|Basic |Bearer /,
    );
  });
});

describe('a registry that hides unreadable images', () => {
  const other = { username: 'reader', password: 'secret' };
  const permissions = { reader: { 'other/app': ['pull'] } };
  /** User and status of the manifest requests; `-` is an anonymous request. */
  const asked = (registry: FakeRegistry): string[] =>
    registry.accessLog
      .filter(({ path }) => path.includes('/manifests/'))
      .map(({ headers, status }) => {
        const [, basic = ''] = /^Basic (.*)$/.exec(headers.authorization ?? '') ?? [];
        return `${basic === '' ? '-' : (Buffer.from(basic, 'base64').toString().split(':')[0] ?? '')} ${status}`;
      });

  it.each([
    ['from those it knows', 'from-users', ['- 401', 'reader 404', 'user 200']],
    ['from strangers too, and asks nobody who they are', 'from-everybody', ['- 404', 'reader 404', 'user 200']],
  ] as const)('%s is read with the credential that can see it', async (_, hides, log) => {
    const registry = await start({ auth: { type: 'basic', users, permissions, hides } });
    const reader = client(registry, [other, good], { hides: true });
    expect((await reader.headManifest('team/app', 'v1'))?.digest).toBe(image.digest);
    expect(asked(registry)).toEqual(log);
    // From now on, a missing object is requested only once.
    expect(await reader.headManifest('team/app', 'v2')).toBeUndefined();
    expect(asked(registry)).toEqual([...log, 'user 404']);
  });

  it('by tokens is read with the credential that can see it', async () => {
    const registry = await start({ auth: { type: 'bearer', users, permissions, hides: 'from-everybody' } });
    const reader = client(registry, [other, good], { hides: true });
    expect((await reader.getManifest('team/app', 'v1')).digest).toBe(image.digest);
    expect(tokenRequests(registry)).toHaveLength(2);
  });

  it('reports a missing image when no credential can see it, even after a refusal', async () => {
    const registry = await start({ auth: { type: 'basic', users, permissions, hides: 'from-users' } });
    const missing = client(registry, [other, good], { hides: true });
    expect(await missing.headManifest('team/app', 'nope')).toBeUndefined();
    registry.accessLog.splice(0);
    expect(await client(registry, [other, bad], { hides: true }).headManifest('team/app', 'v1')).toBeUndefined();
    // By HEAD, then by GET: this registry has not answered a HEAD with 200 before.
    const tries = ['reader 404', 'user 401', '- 401', 'reader 404'];
    expect(asked(registry)).toEqual(['- 401', ...tries, ...tries]);
  });

  it('is not queried repeatedly by lookups', async () => {
    const registry = await start({ auth: { type: 'basic', users, permissions, hides: 'from-users' } });
    expect(await client(registry, [other, good]).headManifest('team/app', 'v1')).toBeUndefined();
    // By HEAD, then by GET: this registry has not answered a HEAD with 200 before.
    expect(asked(registry)).toEqual(['- 401', 'reader 404', 'reader 404']);
  });
});

describe('several credentials', () => {
  it('are each tried again when the one that worked is refused', async () => {
    const changing: Record<string, string> = { user: 'secret', reader: 'old' };
    const registry = await start({ auth: { type: 'basic', users: changing } });
    const first = { username: 'reader', password: 'secret' };
    const reader = client(registry, [first, good]);
    await reader.getManifest('team/app', 'v1');
    Object.assign(changing, { user: 'rotated', reader: 'secret' });
    expect((await reader.getManifest('team/app', 'v1')).digest).toBe(image.digest);
  });
});

describe('bearer tokens', () => {
  it('are requested once for many parallel requests', async () => {
    const registry = await start({ auth: { type: 'bearer', users } });
    const reader = client(registry, [good]);
    await reader.headManifest('team/app', 'v1');
    await Promise.all(Array.from({ length: 20 }, () => reader.getManifest('team/app', 'v1')));
    expect(tokenRequests(registry)).toHaveLength(1);
  });

  it('are renewed shortly before expires_in, 60 s without it', async () => {
    for (const [expiresIn, alive, dead] of [
      [100, 85_000, 92_000],
      [undefined, 45_000, 52_000],
    ] as const) {
      let clock = 0;
      const registry = await start({ auth: { type: 'bearer', users, ...(expiresIn !== undefined && { expiresIn }) } });
      const reader = client(registry, [good], { now: () => clock });
      await reader.headManifest('team/app', 'v1');
      clock = alive;
      await reader.headManifest('team/app', 'v1');
      expect(tokenRequests(registry)).toHaveLength(1);
      clock = dead;
      await reader.headManifest('team/app', 'v1');
      expect(tokenRequests(registry)).toHaveLength(2);
    }
  });

  it('are requested again when the registry no longer accepts them', async () => {
    const registry = await start({ auth: { type: 'bearer', users } });
    const reader = client(registry, [good]);
    await reader.headManifest('team/app', 'v1');
    registry.issuer?.revokeAll();
    expect((await reader.headManifest('team/app', 'v1'))?.digest).toBe(image.digest);
    expect(tokenRequests(registry)).toHaveLength(2);
  });

  it('are exchanged for a refresh token by POST, or sent unchanged', async () => {
    const issuer = new TokenIssuer();
    const auth = { type: 'bearer', users, issuer, identityTokens: { user: 'refresh-me' } } as const;
    const registry = await start({ auth });
    await client(registry, [{ identityToken: 'refresh-me' }]).getManifest('team/app', 'v1');
    expect(tokenRequests(registry)).toEqual(['POST /token']);
    const registryToken = issuer.issue('user', [{ repository: 'team/app', actions: ['pull'] }], 60);
    await client(registry, [{ registryToken }]).getManifest('team/app', 'v1');
    expect(tokenRequests(registry)).toEqual(['POST /token']);
  });

  it('get more scopes: from pull to push, and pull on the repository of a mounted blob', async () => {
    const registry = await start({ auth: { type: 'bearer', users } });
    const writer = client(registry, [good]);
    const [blob] = image.blobs;
    if (blob === undefined) throw new Error('no blob');
    const open = (): Promise<never> => Promise.reject(new Error('must not be opened'));
    const descriptor = { mediaType: '', digest: blob.digest, size: blob.size };
    expect(await writer.uploadBlob('other/app', descriptor, open, { from: 'team/app' })).toBe('mounted');
    const scopes = registry.accessLog
      .filter(({ path }) => path === '/token')
      .map(({ query }) => new URLSearchParams(query).getAll('scope'));
    expect(scopes).toEqual([['repository:other/app:pull,push', 'repository:team/app:pull']]);
  });
});

describe('a token realm', () => {
  it.each([
    ['not a URL', 'not a url', 'invalid', /realm "not a url" is not a URL/],
    ['a file', 'file:///etc/passwd', 'refused', /scheme file:/],
    ['another host on plain HTTP', 'http://localhost:1/token', 'refused', /another host, localhost:1/],
    ['a metadata service', 'https://169.254.169.254/token', 'refused', /another host/],
  ] as const)('that is %s is refused', async (_, realm, kind, message) => {
    const registry = await start({ auth: { type: 'bearer', users, realm } });
    const error = (await client(registry, [good])
      .getManifest('team/app', 'v1')
      .catch((reason: unknown) => reason)) as Error;
    expect(error).toMatchObject({ kind });
    expect(error.message).toMatch(message);
  });

  it('on another host gets credentials over HTTPS when a verified registry names it and oci.tokenHosts lists it, but not if it is another configured registry', async () => {
    const { ca, cert, key } = await makeCertificates({ hosts: ['127.0.0.1', 'localhost'] });
    const issuer = new TokenIssuer();
    const server = await start({ tls: { cert, key }, auth: { type: 'bearer', users, issuer } });
    const port = server.host.split(':')[1] ?? '';
    const realm = `https://localhost:${port}/token`;
    const registry = await start({ tls: { cert, key }, auth: { type: 'bearer', users, issuer, realm } });
    const tokenHosts = ['localhost'];
    const read = client(registry, [good], { ca, tokenHosts }).getManifest('team/app', 'v1');
    expect((await read).digest).toBe(image.digest);
    expect(server.accessLog.map(({ authorization }) => authorization)).toEqual(['basic']);

    const unlisted = client(registry, [good], { ca }).getManifest('team/app', 'v1');
    await expect(unlisted).rejects.toThrow(`list localhost:${port} in oci.tokenHosts of that registry`);

    const both = [
      { host: registry.host, insecure: false, ca, tokenHosts },
      { host: `localhost:${port}`, insecure: false, ca },
    ];
    const refused = client(registry, [good], { ca, endpoints: both }).getManifest('team/app', 'v1');
    await expect(refused).rejects.toMatchObject({ kind: 'refused' });
    const unverified = client(registry, [good]).getManifest('team/app', 'v1');
    await expect(unverified).rejects.toThrow(/unverified connection/);
    expect(server.accessLog.filter(({ authorization }) => authorization === 'basic')).toHaveLength(1);
  });

  it('is not followed after a redirect', async () => {
    const other = await start({});
    const registry = await start({ auth: { type: 'bearer', users } });
    registry.fault({ path: '/token', action: { type: 'redirect', to: other.origin } });
    await expect(client(registry, [good]).getManifest('team/app', 'v1')).rejects.toMatchObject({ status: 307 });
    expect(other.accessLog).toEqual([]);
  });
});
