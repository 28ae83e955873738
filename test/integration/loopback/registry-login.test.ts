import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { RegistryClient } from '../../../extension-service/src/registry/client.js';
import { RegistryFactory, type RegistryFactoryOptions } from '../../../extension-service/src/registry/factory.js';
import type { Credentials } from '../../../extension-service/src/registry/types.js';
import { ScriptedServer, type Script, type ScriptedAnswer, type ScriptedRequest } from '../../fakes/scripted-server.js';

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const MANIFEST = JSON.stringify({ schemaVersion: 2, config: {}, layers: [] });
const MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const digest = `sha256:${createHash('sha256').update(MANIFEST).digest('hex')}`;
const manifest: ScriptedAnswer = {
  status: 200,
  headers: { 'content-type': MEDIA_TYPE, 'docker-content-digest': digest },
  body: MANIFEST,
};
const user = { username: 'user', password: 'secret' };
const basic = `Basic ${Buffer.from('user:secret').toString('base64')}`;

async function start(script: Script): Promise<ScriptedServer> {
  const server = await ScriptedServer.start(script);
  cleanups.push(() => server.close());
  return server;
}

function client(
  servers: readonly ScriptedServer[],
  credentials: Readonly<Record<string, readonly Credentials[]>> = {},
  options: Partial<RegistryFactoryOptions> = {},
): RegistryClient {
  const factory = new RegistryFactory({
    endpoints: servers.map(({ host }) => ({ host, insecure: true })),
    hosts: { allow: [], deny: [] },
    env: {},
    retry: { attempts: 1, baseDelay: 1, maxDelay: 5 },
    ...options,
  });
  cleanups.push(() => factory.close());
  const [first] = servers;
  if (first === undefined) throw new Error('no server');
  return factory.client(first.host, { resolve: async (host) => credentials[host] ?? [] });
}

const bearer = (server: ScriptedServer, more = ''): string =>
  `Bearer realm="${server.origin}/token",service="s"${more}`;

function refusal(challenge: string | readonly string[], code = 'UNAUTHORIZED'): ScriptedAnswer {
  return { status: 401, headers: { 'www-authenticate': challenge }, body: { errors: [{ code, message: '' }] } };
}

/** A registry whose token server responds with `token`, and whose tokens are the requested scopes. */
function tokenRegistry(
  needed: string,
  more: {
    readonly challenge?: string;
    readonly token?: (request: ScriptedRequest) => ScriptedAnswer;
    readonly refuse?: number;
  } = {},
): Script {
  return (request, server) => {
    const { path, query, headers } = request;
    if (path === '/token')
      return more.token?.(request) ?? { status: 200, body: { token: query.getAll('scope').join('+') } };
    const held = headers.authorization?.replace('Bearer ', '').split('+') ?? [];
    if (held.includes(needed)) return manifest;
    const answer = refusal(bearer(server, `,scope="${needed}"${held.length > 0 ? (more.challenge ?? '') : ''}`));
    return held.length > 0 ? { ...answer, status: more.refuse ?? 401 } : answer;
  };
}

async function failure(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  return promise.then(
    () => {
      throw new Error('did not fail');
    },
    (error: unknown) => error as Error & Record<string, unknown>,
  );
}

describe('a registry that redirects to another one', () => {
  const redirectTo =
    (to: () => ScriptedServer, status = 307): Script =>
    ({ path }) =>
      path === '/v2/' ? { status: 200 } : { status, headers: { location: `${to().origin}${path}` } };

  it.each([301, 302, 303, 307, 308])('by %i is read with an anonymous token of the other registry', async (status) => {
    const other = await start(tokenRegistry('repository:team/app:pull'));
    const front = await start(redirectTo(() => other, status));
    const reader = client([front, other]);
    expect((await reader.headManifest('team/app', 'v1'))?.digest).toBe(digest);
    expect((await reader.getManifest('team/app', 'v1')).digest).toBe(digest);
    expect(other.tokens).toEqual([{ scopes: ['repository:team/app:pull'], user: '-', status: 200 }]);
    expect(other.lines.filter((line) => !line.includes('/token'))).toEqual([
      'HEAD /v2/team/app/manifests/v1 401',
      'HEAD /v2/team/app/manifests/v1 200',
      'GET /v2/team/app/manifests/v1 200',
    ]);
    expect(front.log.some(({ headers }) => headers.authorization !== undefined)).toBe(false);
  });

  it.each(['basic', 'bearer'] as const)(
    'is read with the %s login of the other registry, and each login goes to its own registry',
    async (type) => {
      const theirs = { username: 'theirs', password: 'b-secret' };
      const loginOf =
        (challenge: (server: ScriptedServer) => string, next: Script): Script =>
        (request, server) => {
          if (request.path === '/token') return { status: 200, body: { token: 'token-of-b' } };
          return request.headers.authorization === undefined ? refusal(challenge(server)) : next(request, server);
        };
      const other = await start(
        loginOf(
          (server) => (type === 'basic' ? 'Basic realm="b"' : bearer(server)),
          () => manifest,
        ),
      );
      const front = await start(
        loginOf(
          () => 'Basic realm="a"',
          redirectTo(() => other),
        ),
      );
      const reader = client([front, other], { [front.host]: [user], [other.host]: [theirs] });
      expect((await reader.getManifest('team/app', 'v1')).digest).toBe(digest);
      expect((await reader.getManifest('team/app', 'v1')).digest).toBe(digest);
      const sent = (server: ScriptedServer): unknown[] => [
        ...new Set(server.log.map(({ headers }) => headers.authorization).filter((value) => value !== undefined)),
      ];
      const theirBasic = `Basic ${Buffer.from('theirs:b-secret').toString('base64')}`;
      expect(sent(front)).toEqual([basic]);
      expect(sent(other)).toEqual(type === 'basic' ? [theirBasic] : [theirBasic, 'Bearer token-of-b']);
    },
  );

  it('is named with the other registry in the error', async () => {
    const other = await start(() => refusal('Basic realm="b"'));
    const front = await start(redirectTo(() => other));
    const error = await failure(client([front, other], { [front.host]: [user] }).getManifest('team/app', 'v1'));
    expect(error).toMatchObject({ kind: 'unauthorized', host: front.host, answeredBy: other.host });
    expect(error.message).toContain(`GET ${other.origin}/v2/team/app/manifests/v1: HTTP 401`);
    expect(error.message).toContain(`(${front.host} redirects there)`);
    expect(other.log.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  it('requests the repository name of the other registry', async () => {
    const other = await start(tokenRegistry('repository:library/app:pull'));
    const front = await start(({ path }) => ({
      status: 307,
      headers: { location: `${other.origin}${path.replace('/team/', '/library/')}` },
    }));
    expect((await client([front, other]).getManifest('team/app', 'v1')).digest).toBe(digest);
    expect(other.tokens.map(({ scopes }) => scopes)).toEqual([['repository:library/app:pull']]);
  });

  it('sends no credentials to another registry over an unverified connection', async () => {
    const other = await start(() => refusal('Basic realm="b"'));
    const front = await start(redirectTo(() => other));
    // `other` is not configured. The `insecure` of the first registry does not apply to it.
    const reader = client(
      [front, other],
      { [other.host]: [user] },
      { endpoints: [{ host: front.host, insecure: true }] },
    );
    await expect(reader.getManifest('team/app', 'v1')).rejects.toMatchObject({ kind: 'unauthorized' });
    expect(other.log.length).toBeGreaterThan(0);
    expect(other.log.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  it.each([307, 308])(
    'by %i receives a manifest, an upload and its end with the same method and body',
    async (status) => {
      const other = await start(({ method, path }, server) =>
        method === 'POST'
          ? { status: 202, headers: { location: `${server.origin}${path}session` } }
          : { status: method === 'PUT' ? 201 : 204 },
      );
      const front = await start(redirectTo(() => other, status));
      const writer = client([front, other]);
      await writer.putManifest('team/app', 'v1', { mediaType: MEDIA_TYPE, digest, bytes: Buffer.from(MANIFEST) });
      await writer.probePush('team/app');
      expect(other.log.map(({ method, path, body }) => [method, path, body])).toEqual([
        ['PUT', '/v2/team/app/manifests/v1', MANIFEST],
        ['POST', '/v2/team/app/blobs/uploads/', ''],
        ['DELETE', '/v2/team/app/blobs/uploads/session', ''],
      ]);
      expect(other.log[0]?.headers['content-type']).toBe(MEDIA_TYPE);
    },
  );

  it.each([301, 302, 303])('by %i for a write causes an error that names the new location', async (status) => {
    const other = await start(() => ({ status: 201 }));
    const front = await start(redirectTo(() => other, status));
    const error = await failure(client([front, other]).probePush('team/app'));
    expect(error).toMatchObject({ kind: 'invalid', retryable: false });
    expect(error.message).toContain(`redirects a POST to ${other.origin} with status ${status}`);
    expect(other.log).toEqual([]);
  });

  it('in the middle of an upload causes an error that names the new location', async () => {
    const front: ScriptedServer = await start(({ method, path }) =>
      method === 'POST'
        ? { status: 202, headers: { location: `${path}session` } }
        : method === 'PUT'
          ? { status: 307, headers: { location: 'http://127.0.0.1:1/elsewhere' } }
          : { status: 204 },
    );
    const bytes = Buffer.from('layer');
    const descriptor = {
      mediaType: '',
      size: bytes.length,
      digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
    };
    const { Readable } = await import('node:stream');
    const resume = (): Promise<never> => Promise.reject(new Error('the source does not break off'));
    const open = async () => ({ host: 'source', stream: Readable.from([bytes]), skip: 0, whole: true, resume });
    const error = await failure(client([front]).uploadBlob('team/app', descriptor, open));
    expect(error.message).toMatch(/redirects a PUT to http:\/\/127\.0\.0\.1:1 while the body is sent/);
  });

  it('ends a redirect loop', async () => {
    const servers: ScriptedServer[] = [];
    const to = (index: number): Script => redirectTo(() => servers[index] as ScriptedServer);
    servers.push(await start(to(1)), await start(to(0)));
    const error = await failure(
      client(servers).putManifest('a', 'v1', { mediaType: MEDIA_TYPE, digest, bytes: Buffer.from('') }),
    );
    expect(error.message).toMatch(/redirects more than 5 times/);
    expect(servers.flatMap(({ log }) => log)).toHaveLength(6);
  });
});

describe('the scope of a challenge', () => {
  it.each([
    ['', 401],
    [',error="insufficient_scope"', 401],
    [',error="insufficient_scope"', 403],
  ])(
    '%s with status %i is requested after the first scope was refused, and from then on',
    async (challenge, refuse) => {
      const registry = await start(tokenRegistry('repository:library/app:pull', { challenge, refuse }));
      const reader = client([registry]);
      expect((await reader.getManifest('hub/library/app', 'v1')).digest).toBe(digest);
      expect((await reader.headManifest('hub/library/app', 'v1'))?.digest).toBe(digest);
      expect(registry.tokens.map(({ scopes }) => scopes)).toEqual([
        ['repository:hub/library/app:pull'],
        ['repository:library/app:pull'],
      ]);
      expect(registry.lines.slice(-2)).toEqual([
        'GET /v2/hub/library/app/manifests/v1 200',
        'HEAD /v2/hub/library/app/manifests/v1 200',
      ]);
    },
  );

  it('that equals the requested scope leads to a single new token', async () => {
    const registry = await start(
      tokenRegistry('repository:team/app:pull', { token: () => ({ status: 200, body: { token: 'no-good' } }) }),
    );
    await expect(client([registry]).getManifest('team/app', 'v1')).rejects.toMatchObject({ kind: 'unauthorized' });
    expect(registry.tokens).toHaveLength(2);
  });

  it('that changes with each refusal ends', async () => {
    let count = 0;
    const registry = await start(({ path }, server) =>
      path === '/token'
        ? { status: 200, body: { token: 't' } }
        : refusal(bearer(server, `,scope="repository:x${count++}:pull"`)),
    );
    await expect(client([registry], { [registry.host]: [user] }).getManifest('team/app', 'v1')).rejects.toMatchObject({
      kind: 'unauthorized',
    });
    expect(registry.log.length).toBeLessThan(25);
  });
});

describe('a challenge', () => {
  it.each<[string, (server: ScriptedServer) => string | readonly string[]]>([
    ['among others in one header', (server) => `Negotiate YII=, ${bearer(server)}, Digest realm="x", nonce="n"`],
    ['in one of several headers', (server) => ['Negotiate', bearer(server)]],
    ['behind one without a realm', (server) => `Bearer error="invalid_token", ${bearer(server)}`],
    ['with semicolons', (server) => `Bearer realm="${server.origin}/token"; service="s"`],
    ['whose realm has a query', (server) => `Bearer realm="${server.origin}/token?account=a%26b",service="s"`],
    ['whose realm is a path', () => 'Bearer realm="/token",service="s"'],
    ['without a service', (server) => `bearer REALM=${server.origin}/token`],
  ])('%s is answered', async (_, challenge) => {
    const registry = await start(({ path, headers }, server) => {
      if (path === '/token') return { status: 200, body: { token: 'good' } };
      return headers.authorization === 'Bearer good' ? manifest : refusal(challenge(server));
    });
    expect((await client([registry], { [registry.host]: [user] }).getManifest('team/app', 'v1')).digest).toBe(digest);
    expect(registry.tokens).toEqual([{ scopes: ['repository:team/app:pull'], user: 'user', status: 200 }]);
    const account = registry.log.find(({ path }) => path === '/token')?.query.get('account');
    expect(account).toBe(String(challenge(registry)).includes('account') ? 'a&b' : null);
  });

  it('for Basic is answered when the other token server refuses', async () => {
    const registry = await start(({ path, headers }, server) => {
      if (path === '/token') return { status: 403 };
      return headers.authorization === basic ? manifest : refusal(`${bearer(server)}, Basic realm="r"`);
    });
    expect((await client([registry], { [registry.host]: [user] }).getManifest('team/app', 'v1')).digest).toBe(digest);
  });

  it.each([
    ['from Basic to Bearer', 'basic'],
    ['from Bearer to Basic', 'bearer'],
    ['to another token server', 'other'],
  ] as const)('that changes %s is answered by a client with the previous one', async (_, first) => {
    let changed = false;
    const registry = await start(({ path, headers, query }, server) => {
      if (path.startsWith('/token')) return { status: 200, body: { token: `${path}${query.get('service')}` } };
      const old = bearer(server);
      const other = `Bearer realm="${server.origin}/token2",service="s2"`;
      const [challenge, takes] = changed
        ? first === 'bearer'
          ? ['Basic realm="r"', basic]
          : [other, 'Bearer /token2s2']
        : first === 'basic'
          ? ['Basic realm="r"', basic]
          : [old, 'Bearer /tokens'];
      return headers.authorization === takes ? manifest : refusal(challenge);
    });
    const reader = client([registry], { [registry.host]: [user] });
    await reader.getManifest('team/app', 'v1');
    changed = true;
    expect((await reader.getManifest('team/app', 'v1')).digest).toBe(digest);
    expect(registry.lines.at(-1)).toBe('GET /v2/team/app/manifests/v1 200');
    expect(registry.tokens.length).toBeLessThanOrEqual(2);
    expect(registry.log.filter(({ status, path }) => status === 401 && path !== '/token')).toHaveLength(2);
  });

  it('of each path of a proxy is kept', async () => {
    const registry = await start(({ path, headers }, server) => {
      if (path.startsWith('/token-')) return { status: 200, body: { token: path.slice(7) } };
      const name = path.split('/')[2] ?? '';
      return headers.authorization === `Bearer ${name}`
        ? manifest
        : refusal(`Bearer realm="${server.origin}/token-${name}",service="s"`);
    });
    const reader = client([registry]);
    for (const name of ['hub', 'ghcr', 'hub', 'ghcr']) await reader.getManifest(`${name}/app`, 'v1');
    const paths = registry.lines.filter((line) => !line.endsWith('200') || line.includes('token'));
    expect(paths).toEqual([
      'GET /v2/hub/app/manifests/v1 401',
      'GET /token-hub 200',
      'GET /token-hub 200',
      'GET /v2/ghcr/app/manifests/v1 401',
      'GET /token-ghcr 200',
    ]);
  });

  it('that only GET returns is found for a HEAD', async () => {
    const registry = await start(({ method, path, headers }, server) => {
      if (path === '/token') return { status: 200, body: { token: 'good' } };
      if (headers.authorization === 'Bearer good') return manifest;
      return method === 'HEAD' || path === '/v2/' ? { status: 401 } : refusal(bearer(server));
    });
    expect((await client([registry]).headManifest('team/app', 'v1'))?.digest).toBe(digest);
    expect(registry.lines.slice(0, 2)).toEqual([
      'HEAD /v2/team/app/manifests/v1 401',
      'GET /v2/team/app/manifests/v1 401',
    ]);
  });

  it('that only /v2/ returns is found, and a registry without any is queried once', async () => {
    const registry = await start(({ path, headers }, server) => {
      if (path === '/token') return { status: 200, body: { token: 'good' } };
      if (headers.authorization === 'Bearer good') return manifest;
      return path === '/v2/' ? refusal(bearer(server)) : { status: 401 };
    });
    expect((await client([registry]).getManifest('team/app', 'v1')).digest).toBe(digest);
    const silent = await start(() => ({ status: 401 }));
    await expect(client([silent]).getManifest('team/app', 'v1')).rejects.toMatchObject({ kind: 'unauthorized' });
    expect(silent.lines).toEqual(['GET /v2/team/app/manifests/v1 401', 'GET /v2/ 401']);
  });
});

describe('the answer of a token server', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  const date = new Date(now).toUTCString();

  /**
   * The two numbers are the tested seconds: the client keeps the token after the first, and requests a new one after
   * the second.
   */
  it.each<[string, object, number, number]>([
    ['access_token', { access_token: 't', expires_in: 300 }, 280, 300],
    ['token before access_token', { token: 't', access_token: 'u', expires_in: 300 }, 280, 300],
    ['no expires_in', { token: 't' }, 45, 60],
    ['an expires_in of 0', { token: 't', expires_in: 0 }, 45, 60],
    ['an expires_in below 0', { token: 't', expires_in: -5 }, 45, 60],
    ['an expires_in of null', { token: 't', expires_in: null }, 45, 60],
    ['an expires_in that is text', { token: 't', expires_in: '300' }, 280, 300],
    ['an expires_in without end', { token: 't', expires_in: 1e300 }, 86_000, 86_400],
    ['a line break behind it', { token: 't\n', expires_in: 300 }, 280, 300],
    ['issued_at in the future', { token: 't', expires_in: 300, issued_at: '2026-01-01T01:00:00Z' }, 280, 300],
    ['issued_at a while ago', { token: 't', expires_in: 300, issued_at: '2025-12-31T23:56:40Z' }, 80, 100],
    ['issued_at that is not a time', { token: 't', expires_in: 300, issued_at: 'yesterday' }, 280, 300],
  ])('with %s is used until shortly before its end', async (_, body, alive, dead) => {
    let clock = now;
    const registry = await start(({ path, headers }, server) => {
      if (path === '/token') return { status: 200, headers: { date }, body };
      return headers.authorization === 'Bearer t' ? manifest : refusal(bearer(server));
    });
    const reader = client([registry], {}, { now: () => clock });
    await reader.getManifest('team/app', 'v1');
    clock = now + alive * 1000;
    await reader.getManifest('team/app', 'v1');
    expect(registry.tokens).toHaveLength(1);
    clock = now + dead * 1000;
    await reader.getManifest('team/app', 'v1');
    expect(registry.tokens).toHaveLength(2);
  });

  it.each<[ScriptedAnswer, object, RegExp]>([
    [
      { status: 400, body: { error: 'invalid_grant', error_description: 'unknown user' } },
      { kind: 'unauthorized' },
      /HTTP 400 invalid_grant: unknown user/,
    ],
    [
      { status: 401, body: { details: 'incorrect username or password' } },
      { kind: 'unauthorized' },
      /incorrect username or password/,
    ],
    [
      { status: 403, body: { errors: [{ code: 'DENIED', message: 'account is locked' }] } },
      { kind: 'forbidden' },
      /HTTP 403 DENIED: account is locked/,
    ],
    [{ status: 404, body: { message: 'no such project' } }, { kind: 'unauthorized' }, /HTTP 404 no such project/],
    [{ status: 412, body: {} }, { kind: 'unauthorized' }, /HTTP 412(?!.*immutable)/],
    [
      { status: 429, headers: { 'retry-after': '7' }, body: { detail: 'slow down' } },
      { kind: 'throttled', retryAfter: 7000, retryable: true },
      /HTTP 429 slow down/,
    ],
    [
      { status: 500, body: { errors: [{ code: 'UNKNOWN', message: 'database is down' }] } },
      { kind: 'server', retryable: true },
      /HTTP 500 UNKNOWN: database is down/,
    ],
    [
      { status: 503, headers: { 'retry-after': '3' } },
      { kind: 'server', retryAfter: 3000, retryable: true },
      /HTTP 503/,
    ],
    [
      { status: 200, body: { errors: [{ code: 'TOOMANYREQUESTS', message: 'pull rate limit' }] } },
      { kind: 'throttled', retryable: true },
      /returned no token: TOOMANYREQUESTS: pull rate limit/,
    ],
    [
      { status: 200, body: { error: 'access_denied', error_description: 'no such robot' } },
      { kind: 'forbidden', retryable: false },
      /returned no token: access_denied: no such robot/,
    ],
    [{ status: 200, body: { token: '' } }, { kind: 'invalid' }, /returned no token/],
    [{ status: 200, body: { token: 'a\r\nb' } }, { kind: 'invalid' }, /not printable ASCII/],
    [{ status: 200, body: '<html>' }, { kind: 'invalid' }, /not JSON/],
  ])('%j becomes the error text', async (answer, expected, message) => {
    const registry = await start(({ path }, server) => (path === '/token' ? answer : refusal(bearer(server))));
    const error = await failure(client([registry], { [registry.host]: [user] }).getManifest('team/app', 'v1'));
    expect(error).toMatchObject(expected);
    expect(error.message).toMatch(message);
    expect(error.message).toContain(`GET ${registry.origin}/token`);
  });

  it.each<[number, Credentials]>([
    ...[301, 302, 303, 307, 308].map((status): [number, Credentials] => [status, user]),
    ...[307, 308].map((status): [number, Credentials] => [status, { identityToken: 'refresh-me' }]),
  ])('of a token server that redirects to itself by %i gets the login %j', async (status, credentials) => {
    const registry = await start(({ path, query, headers, body }, server) => {
      if (path === '/token') return { status, headers: { location: `/token/?${String(query)}` } };
      const isLogin = headers.authorization === basic || body.includes('refresh_token=refresh-me');
      if (path === '/token/') return isLogin ? { status: 200, body: { token: 'good' } } : { status: 401 };
      return headers.authorization === 'Bearer good' ? manifest : refusal(bearer(server));
    });
    const reader = client([registry], { [registry.host]: [credentials] });
    expect((await reader.getManifest('team/app', 'v1')).digest).toBe(digest);
    expect(registry.log.filter(({ path }) => path.startsWith('/token'))).toHaveLength(2);
  });

  it('of a token server that redirects to itself without end is refused', async () => {
    const registry = await start(({ path }, server) =>
      path === '/token' ? { status: 302, headers: { location: '/token' } } : refusal(bearer(server)),
    );
    const reader = client([registry], { [registry.host]: [user] });
    expect(await failure(reader.getManifest('team/app', 'v1'))).toMatchObject({ status: 302 });
    expect(registry.log.filter(({ path }) => path === '/token').length).toBeLessThan(10);
  });

  it.each([301, 303])(
    'of a token server that redirects a POST by %i does not get the refresh token',
    async (status) => {
      const registry = await start(({ path }, server) =>
        path === '/token' ? { status, headers: { location: '/token/' } } : refusal(bearer(server)),
      );
      const reader = client([registry], { [registry.host]: [{ identityToken: 'refresh-me' }] });
      expect(await failure(reader.getManifest('team/app', 'v1'))).toMatchObject({ status });
      expect(registry.log.some(({ path }) => path === '/token/')).toBe(false);
    },
  );

  it('to a refresh token is requested by POST with all scopes at once', async () => {
    const registry = await start(({ path, method, headers }, server) => {
      if (path === '/token') return { status: method === 'POST' ? 200 : 405, body: { access_token: 'good' } };
      return headers.authorization === 'Bearer good' ? { status: 201 } : refusal(bearer(server));
    });
    const writer = client([registry], { [registry.host]: [{ identityToken: 'refresh-me' }] });
    const open = (): Promise<never> => Promise.reject(new Error('must not be opened'));
    expect(await writer.uploadBlob('b', { mediaType: '', digest, size: 1 }, open, { from: 'a' })).toBe('mounted');
    const asked = registry.log
      .filter(({ path }) => path === '/token')
      .map(({ body }) => Object.fromEntries(new URLSearchParams(body)));
    expect(asked).toEqual([
      {
        grant_type: 'refresh_token',
        client_id: 'image-swapper',
        refresh_token: 'refresh-me',
        service: 's',
        scope: 'repository:b:pull,push repository:a:pull',
      },
    ]);
  });
});

describe('a token that a registry no longer accepts', () => {
  it('is replaced once for many parallel requests', async () => {
    let generation = 1;
    const registry = await start(({ path, headers }, server) => {
      if (path === '/token') return { status: 200, body: { token: `t${generation}`, expires_in: 3600 } };
      return headers.authorization === `Bearer t${generation}` ? manifest : refusal(bearer(server));
    });
    const reader = client([registry]);
    await reader.getManifest('team/app', 'v1');
    generation = 2;
    await Promise.all(Array.from({ length: 10 }, () => reader.getManifest('team/app', 'v1')));
    expect(registry.tokens).toHaveLength(2);
  });

  it.each([400, 401])('is replaced once if the registry answers %s without a challenge', async (status) => {
    let generation = 1;
    const message = 'Your Authorization Token is invalid.';
    const registry = await start(({ path, headers }, server) => {
      if (path === '/token') return { status: 200, body: { token: `t${generation}`, expires_in: 3600 } };
      if (headers.authorization === undefined) return refusal(bearer(server));
      if (headers.authorization === `Bearer t${generation}`) return manifest;
      return { status, body: { errors: [{ code: 'DENIED', message }] } };
    });
    const reader = client([registry]);
    await reader.getManifest('team/app', 'v1');
    generation = 2;
    expect(await reader.getManifest('team/app', 'v1')).toBeDefined();
    expect(registry.tokens).toHaveLength(2);
  });

  it('is never sent to another registry that names the same token server', async () => {
    const first = await start(({ path, headers }, server) => {
      if (path === '/token')
        return { status: 200, body: { token: headers.authorization === undefined ? 'anonymous' : 'mine' } };
      return headers.authorization === undefined ? refusal(bearer(server)) : manifest;
    });
    const second = await start(({ headers }) =>
      headers.authorization === undefined ? refusal(bearer(first)) : manifest,
    );
    const factory = new RegistryFactory({
      endpoints: [first, second].map(({ host }) => ({ host, insecure: true })),
      hosts: { allow: [], deny: [] },
      env: {},
      retry: { attempts: 1 },
    });
    cleanups.push(() => factory.close());
    const keychain = { resolve: async () => [user] };
    await factory.client(first.host, keychain).getManifest('team/app', 'v1');
    await factory.client(second.host, keychain).getManifest('team/app', 'v1');
    expect(first.tokens.map((token) => token.user)).toEqual(['user', '-']);
    expect(second.log.map(({ headers }) => headers.authorization)).toEqual([undefined, 'Bearer anonymous']);
  });
});
