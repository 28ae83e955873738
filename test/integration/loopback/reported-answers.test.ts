import { describe, expect, it, vi } from 'vitest';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { buildImage, loadImage, type BuiltImage } from '../../fakes/images.js';
import type { FakeRegistryOptions, FaultAction, FaultRule } from '../../fakes/registry.js';
import { expectComplete, pair, type Pair } from './copy-pair.js';

/** Answers of registries and their storages that users have reported to the projects of other clients. */

const image = buildImage({ layerSize: 20_000 });
const [blob = image.blobs[0]] = image.blobs;
const SOURCE = 'library/app';
const TARGET = 'mirror/library/app';
const DIGEST = `/manifests/${image.digest}`;

const status = (code: number, body?: string, headers: Readonly<Record<string, string>> = {}): FaultAction => ({
  type: 'status',
  status: code,
  headers,
  ...(body !== undefined && { body }),
});
const errors = (code: string): string => JSON.stringify({ errors: [{ code, message: 'unknown' }] });
const otherStatus = (code: number): FaultAction => ({ type: 'other-status', status: code });
const head = (length: number): FaultAction => status(200, '', { 'content-length': String(length) });

async function copied(parts: Pair, built = image): Promise<void> {
  await parts.copy({ referrers: true });
  expectComplete(parts.target, TARGET, built);
  expect(parts.target.manifest(TARGET, 'v1')?.digest).toBe(built.digest);
}

async function loaded(options: Parameters<typeof pair>[0] = {}): Promise<Pair> {
  const parts = await pair(options);
  loadImage(parts.source, SOURCE, image, 'v1');
  return parts;
}

describe('a tag whose digest the source does not return', () => {
  it('is read by its name: caches know only what was requested by tag', async () => {
    const parts = await loaded();
    parts.source.fault({ method: 'GET', path: DIGEST, action: status(404, errors('MANIFEST_UNKNOWN')) });
    await copied(parts);
  });

  it('because the tag has moved meanwhile is copied as it is now', async () => {
    const parts = await loaded();
    const { source, target, copy } = parts;
    const now = buildImage({ seed: 2 });
    loadImage(source, SOURCE, now);
    source.fault({
      method: 'GET',
      path: DIGEST,
      action: () => {
        loadImage(source, SOURCE, now, 'v1');
        return status(404, errors('MANIFEST_UNKNOWN'));
      },
    });
    expect(await copy()).toMatchObject({ digest: now.digest, sourceDigest: now.digest, outcome: 'copied' });
    expectComplete(target, TARGET, now);
    expect(target.manifest(TARGET, image.digest)).toBeUndefined();
  });

  it('is read by its name for a reference with a tag and a digest, if the tag has that digest', async () => {
    const { source, target, copy } = await loaded();
    source.fault({ method: 'GET', path: DIGEST, action: status(404, errors('MANIFEST_UNKNOWN')) });
    const pinned = { from: { tag: 'v1', digest: image.digest } };
    expect(await copy(pinned)).toMatchObject({ digest: image.digest, outcome: 'copied' });
    expectComplete(target, TARGET, image);
    loadImage(source, SOURCE, buildImage({ seed: 4 }), 'v1');
    target.deleteManifest(TARGET, image.digest);
    target.deleteManifest(TARGET, 'v1');
    await expect(copy(pinned)).rejects.toMatchObject({ kind: 'absent' });
  });

  it('is absent for a reference by digest', async () => {
    const { source, copy } = await loaded();
    source.deleteManifest(SOURCE, image.digest);
    await expect(copy({ from: { digest: image.digest } })).rejects.toMatchObject({ kind: 'absent' });
  });
});

describe('a blob of the target with another size', () => {
  /** The target has another image, so that its blobs are checked. */
  async function damaged(rules: (digest: string) => readonly FaultRule[]): Promise<Pair> {
    const parts = await loaded();
    loadImage(parts.target, TARGET, buildImage({ seed: 3 }), 'other');
    for (const content of image.blobs) {
      parts.target.putBlob(TARGET, content);
      for (const rule of rules(content.digest)) parts.target.fault(rule);
    }
    return parts;
  }
  const puts = ({ target }: Pair): number =>
    target.requests(({ method, path }) => method === 'PUT' && path.includes('/blobs/')).length;

  it.each([0, 777])('of %i bytes is sent again', async (length) => {
    const parts = await damaged((digest) => [
      { method: 'HEAD', path: digest, times: 1, action: head(length) },
      { method: 'GET', path: digest, times: 1, action: status(200, '') },
    ]);
    await copied(parts);
    expect(puts(parts)).toBe(image.blobs.length);
  });

  it('only according to HEAD is not sent', async () => {
    const parts = await damaged((digest) => [{ method: 'HEAD', path: digest, action: head(0) }]);
    await copied(parts);
    expect(puts(parts)).toBe(0);
  });

  it('that stays so fails the copy without a tag', async () => {
    const { target, copy } = await damaged((digest) => [{ method: 'HEAD', path: digest, action: head(777) }]);
    await expect(copy()).rejects.toMatchObject({
      kind: 'server',
      message: expect.stringContaining('with another size, and ignores a new upload: delete the blob there') as string,
    });
    expect(target.manifest(TARGET, 'v1')).toBeUndefined();
  });
});

describe('a target', () => {
  const uploads = '/blobs/uploads/';
  it.each<[string, FaultRule]>([
    ...[200, 201, 204].map((code): [string, FaultRule] => [
      `starts uploads with ${code}`,
      { method: 'POST', path: uploads, action: otherStatus(code) },
    ]),
    ...[200, 202, 204].map((code): [string, FaultRule] => [
      `answers manifests with ${code}`,
      { method: 'PUT', path: '/manifests/', action: otherStatus(code) },
    ]),
    ['has a conflict in an upload', { method: 'PUT', path: uploads, times: 1, action: status(409, '') }],
    ['received other bytes', { method: 'PUT', path: uploads, times: 1, action: status(422, errors('DIGEST_INVALID')) }],
    [
      'lets the connection to its storage expire',
      {
        method: 'PUT',
        path: uploads,
        times: 1,
        action: status(400, '<?xml version="1.0"?><Error><Code>RequestTimeout</Code></Error>'),
      },
    ],
    ...['v1', 'd41d8cd98f00b204e9800998ecf8427e', 'sha256-abc'].map((value): [string, FaultRule] => [
      `names its content ${value}`,
      { method: 'PUT', action: { type: 'header', name: 'docker-content-digest', value } },
    ]),
    [
      'is read-only while it collects garbage',
      {
        method: 'POST',
        path: uploads,
        times: 2,
        action: status(403, '{"errors":[{"code":"DENIED","message":"The system is in read only mode."}]}'),
      },
    ],
    [
      'has two slashes before the path of an upload',
      {
        method: 'POST',
        path: uploads,
        action: { type: 'location', rewrite: ({ pathname, search }) => `/${pathname}${search}` },
      },
    ],
    [
      'calls a manifest invalid while another request stores it',
      {
        method: 'PUT',
        path: '/manifests/',
        times: 1,
        action: status(400, '{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}'),
      },
    ],
    ...['conflict', 'artifact already exists'].map((text): [string, FaultRule] => [
      `reports "${text}" while another request stores a manifest`,
      {
        method: 'PUT',
        path: '/manifests/',
        times: 1,
        action: status(409, JSON.stringify({ errors: [{ code: 'CONFLICT', message: text }] })),
      },
    ]),
    ['has a conflict in a tag that does not exist', { method: 'PUT', path: '/v1', times: 1, action: status(412, '') }],
    ...[
      `artifact mirror/library/app@${image.manifests[0]?.digest ?? ''} not found`,
      `manifest ${image.manifests[0]?.digest ?? ''} is unknown to the registry`,
      'a referenced manifest does not exist',
    ].flatMap((text) =>
      [400, 404].map((code): [string, FaultRule] => [
        `does not see the children of an index yet: ${code} ${text}`,
        {
          method: 'PUT',
          path: '/manifests/v1',
          times: 2,
          action: status(code, JSON.stringify({ errors: [{ code: 'NOT_FOUND', message: text }] })),
        },
      ]),
    ),
    [
      'does not see the repository yet',
      { method: 'PUT', path: '/manifests/', times: 1, action: status(404, errors('NAME_UNKNOWN')) },
    ],
  ])('that %s gets the image', async (_, rule) => {
    const parts = await loaded();
    parts.target.fault(rule);
    await copied(parts);
  });

  it('that calls a manifest a conflict that another request has stored gets it once', async () => {
    const parts = await loaded();
    const [child] = image.manifests;
    const path = `/manifests/${child?.digest ?? ''}`;
    const stored = (): FaultAction => {
      parts.target.putManifest(TARGET, child?.digest ?? '', child?.mediaType ?? '', child?.bytes ?? Buffer.alloc(0));
      return status(409, errors('CONFLICT'));
    };
    parts.target.fault({ method: 'PUT', path, action: stored });
    await copied(parts);
    expect(parts.target.requests(({ method, path: asked }) => method === 'PUT' && asked.endsWith(path))).toHaveLength(
      1,
    );
  });

  it.each<[string, FaultAction]>([
    ['404 BLOB_UNKNOWN', status(404, errors('BLOB_UNKNOWN'))],
    ['400 DIGEST_INVALID', status(400, errors('DIGEST_INVALID'))],
    ['405', status(405, '')],
    ['501', status(501, '')],
  ])('that answers a PUT with a body with %s gets layers in a PATCH, and all later ones at once', async (_, action) => {
    const { source, target, copy } = await pair();
    const large = (seed: number): BuiltImage =>
      buildImage({ layerSize: 150_000, platforms: ['linux/amd64'], layersPerPlatform: 1, seed });
    loadImage(source, SOURCE, large(1), 'v1');
    loadImage(source, SOURCE, large(2), 'v2');
    const isUpload = (path: string): boolean => path.includes(uploads);
    let patched = 0;
    target.fault({
      method: 'PATCH',
      action: () => {
        patched += 1;
        return { type: 'omit-header', name: 'range' };
      },
    });
    target.fault({
      method: 'PUT',
      path: uploads,
      action: () => (patched === 0 ? action : { type: 'omit-header', name: 'range' }),
    });
    await copy();
    expectComplete(target, TARGET, large(1));
    target.accessLog.splice(0);
    await copy({ from: { tag: 'v2' }, to: { published: 'v2' } });
    expectComplete(target, TARGET, large(2));
    const sent = target.accessLog.filter(({ method, path }) => method === 'PUT' && isUpload(path));
    expect(sent.map(({ bytesIn }) => bytesIn).filter((bytes) => bytes > 0)).toEqual([]);
  });

  it('that takes neither a PUT nor a PATCH is named with the answer to the PUT', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, SOURCE, buildImage({ layerSize: 150_000, platforms: ['linux/amd64'] }), 'v1');
    target.fault({ method: 'PUT', path: uploads, action: status(405, errors('UNSUPPORTED')) });
    target.fault({ method: 'PATCH', action: status(403, errors('DENIED')) });
    await expect(copy()).rejects.toMatchObject({ status: 405, message: expect.stringMatching(/^PUT /) as string });
  });

  it.each<[string, FakeRegistryOptions['auth']]>([
    ['403', { type: 'basic', users: { user: 'secret' }, refusesAnonymous: true }],
    ['404', { type: 'bearer', users: { user: 'secret' }, hides: 'from-everybody' }],
  ])('that anyone may read, and that answers anonymous writes with %s, gets the login', async (_, auth) => {
    await copied(await loaded({ target: { anonymousPull: true, ...(auth && { auth }) } }));
  });

  it.each<[string, FaultAction]>([
    ['calls an upload invalid that another client was faster with', status(400, errors('BLOB_UPLOAD_INVALID'))],
    ['stores a layer after its proxy has given up', status(504, '')],
  ])('that %s gets it once', async (_, action) => {
    const { source, target, copy } = await pair();
    // Too large for a single POST.
    const large = buildImage({ layerSize: 150_000 });
    loadImage(source, SOURCE, large, 'v1');
    const stored = (): FaultAction => {
      for (const content of large.blobs) target.putBlob(TARGET, content);
      return action;
    };
    target.fault({ method: 'PUT', path: uploads, action: stored });
    await copy();
    expectComplete(target, TARGET, large);
    expect(
      target.requests(({ method, path }) => method === 'PUT' && path.includes(uploads)).length,
    ).toBeLessThanOrEqual(large.blobs.length);
  });

  it('that goes on creating a repository after its answer gets the image', async () => {
    const created = vi.fn(() => {
      for (const content of image.blobs.slice(0, 1)) parts.target.putBlob(TARGET, content);
      parts.target.fault({ method: 'POST', path: uploads, times: 4, action: status(404, errors('NAME_UNKNOWN')) });
      return Promise.resolve(true);
    });
    const parts: Pair = await loaded({ target: { createOnPush: false }, createRepository: created });
    await copied(parts);
    expect(created).toHaveBeenCalled();
  });

  it('that drops its port from uploads is named with the remedy', async () => {
    const { source, target, copy } = await loaded();
    loadImage(source, SOURCE, image, 'v1');
    const rewrite = ({ pathname, search }: URL): string => `http://127.0.0.1:9${pathname}${search}`;
    target.fault({ method: 'POST', path: uploads, action: { type: 'location', rewrite } });
    await expect(copy()).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringMatching(/ECONNREFUSED.*its external URL may be wrong/) as string,
    });
  });

  it.each<[string, FaultAction]>([
    ...[500, 503, 415, 413, 507].map((code): [string, FaultAction] => [`with ${code}`, status(code)]),
    ['by closing the connection', { type: 'reset', after: 0 }],
  ])('that answers mounts %s gets the bytes', async (_, action) => {
    const parts = await loaded({ same: true });
    parts.target.fault({ method: 'POST', query: /mount=/, action });
    await copied(parts);
  });

  it.each<[string, (chunk: number) => FaultAction]>([
    ['is always 0-0', () => ({ type: 'header', name: 'range', value: '0-0' })],
    ['is always 0--1', () => ({ type: 'header', name: 'range', value: '0--1' })],
    ['is exclusive', (chunk) => ({ type: 'header', name: 'range', value: `0-${chunk * 8_000}` })],
    ['comes with status 200', () => otherStatus(200)],
    ['comes with status 204', () => otherStatus(204)],
  ])('whose Range after a chunk %s gets all chunks', async (_, action) => {
    const single = buildImage({ layerSize: 20_000, platforms: ['linux/amd64'], layersPerPlatform: 1 });
    const parts = await pair({ uploadChunk: 8_000 });
    loadImage(parts.source, SOURCE, single, 'v1');
    let chunk = 0;
    parts.target.fault({ method: 'PATCH', action: () => action((chunk += 1)) });
    await copied(parts, single);
    expect(chunk).toBe(3);
  });
});

describe('a source', () => {
  const damaged: readonly (readonly [string, FaultAction])[] = [
    ['an empty manifest', status(200, '')],
    ['an HTML page', { type: 'html', status: 200 }],
    ['a part of a manifest', { type: 'truncate', after: 40 }],
    ['a damaged manifest', { type: 'wrong-bytes' }],
  ];
  const partOf = (from: number, to: number): FaultAction =>
    ({
      type: 'status',
      status: 206,
      headers: { 'content-range': `bytes ${from}-${to - 1}/${blob?.size ?? 0}` },
      body: Buffer.concat([...(blob?.chunks(from, to) ?? [])]),
    }) as unknown as FaultAction;

  it.each<[string, FaultRule]>([
    ['manifests with 203', { method: 'GET', path: '/manifests/', action: otherStatus(203) }],
    ['manifests with 206', { method: 'GET', path: '/manifests/', action: otherStatus(206) }],
    ['layers with 203', { method: 'GET', path: '/blobs/', action: otherStatus(203) }],
    ['a whole layer as a part', { method: 'GET', path: blob?.digest ?? '', action: partOf(0, blob?.size ?? 0) }],
    ['the first part of a layer', { method: 'GET', path: blob?.digest ?? '', times: 1, action: partOf(0, 9_000) }],
    [
      'an expired URL of its storage once',
      {
        method: 'GET',
        path: '/blobs/',
        times: 1,
        action: status(403, '<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>'),
      },
    ],
    ...damaged.flatMap(([what, action]) =>
      ['index', 'child'].map((of): [string, FaultRule] => {
        const path = of === 'index' ? DIGEST : `/manifests/${image.manifests[0]?.digest ?? ''}`;
        return [`${what} once for the ${of}`, { method: 'GET', path, times: 1, action }];
      }),
    ),
    ['referrers as null', { path: '/referrers/', action: status(200, '{"schemaVersion":2,"manifests":null}') }],
    ['referrers with 204', { path: '/referrers/', action: status(204, '') }],
  ])('that answers %s is copied', async (_, rule) => {
    const parts = await loaded();
    parts.source.fault(rule);
    await copied(parts);
  });

  it.each([1, 2])('that returns what it lists after %i answers with 404, as a cache does, is copied', async (times) => {
    const parts = await loaded();
    const action = status(404, errors('MANIFEST_UNKNOWN'));
    parts.source.fault({ method: 'GET', path: image.manifests[0]?.digest ?? '', times, action });
    parts.source.fault({ method: 'GET', path: blob?.digest ?? '', times, action });
    await copied(parts);
  });

  it('that answers an error with 200 is shown with its words', async () => {
    const { source, copy } = await loaded();
    source.fault({ path: '/manifests/', action: status(200, errors('MANIFEST_UNKNOWN')) });
    await expect(copy()).rejects.toMatchObject({
      kind: 'invalid',
      message: expect.stringContaining('answered 200 with an error: MANIFEST_UNKNOWN: unknown') as string,
    });
  });

  it('whose part begins elsewhere is not copied', async () => {
    const { source, target, copy } = await loaded();
    source.fault({ method: 'GET', path: blob?.digest ?? '', action: partOf(5, blob?.size ?? 0) });
    await expect(copy()).rejects.toMatchObject({ kind: 'invalid' });
    expect(target.manifest(TARGET, 'v1')).toBeUndefined();
  });

  it('that redirects layers to its own name gets no login with their signed URLs', async () => {
    const source: FakeRegistryOptions = { auth: { type: 'bearer', users: { user: 'secret' } } };
    const parts = await loaded({ source });
    for (const content of image.blobs) {
      const location = `/storage/${content.digest}?X-Amz-Signature=signed`;
      parts.source.fault({ path: `/blobs/${content.digest}`, action: status(307, '', { location }) });
      const body = Buffer.concat([...content.chunks(0, content.size)]) as unknown as string;
      parts.source.fault({ path: `/storage/${content.digest}`, action: status(200, body) });
    }
    await copied(parts);
    const stored = parts.source.accessLog.filter(({ path }) => path.startsWith('/storage/'));
    expect(stored).toHaveLength(image.blobs.length);
    expect(stored.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
  });

  it.each(['AuthenticationFailed', 'AccessDenied'])(
    'whose storage refuses a signed URL with %s is asked for another one',
    async (code) => {
      const parts = await loaded();
      const location = '/storage/x?sig=signed';
      const refusal = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>Server failed</Message></Error>`;
      parts.source.fault({ method: 'GET', path: '/blobs/', times: 1, action: status(307, '', { location }) });
      parts.source.fault({ path: '/storage/', action: status(403, refusal) });
      await copied(parts);
      expect(parts.source.requests(({ path }) => path.startsWith('/storage/'))).toHaveLength(1);
    },
  );

  it('that anyone may read is copied although it refuses tags of signatures with 401', async () => {
    const parts = await loaded();
    const challenge = { 'www-authenticate': 'Bearer realm="/token",service="s"' };
    parts.source.fault({ path: /\/manifests\/sha256-/, action: status(401, errors('UNAUTHORIZED'), challenge) });
    parts.source.fault({ path: '/token', action: status(401) });
    await copied(parts);
  });

  it('that has lost a layer is reported once', async () => {
    const { source, copy } = await loaded();
    source.fault({ method: 'GET', path: '/blobs/', action: status(404, '') });
    const error: unknown = await copy().catch((reason: unknown) => reason);
    expect(String(error).match(/push the image again/g)).toHaveLength(1);
  });
});

describe('a token server that only accepts POST', () => {
  it.each([404, 405])('and answers %i to GET gives tokens', async (code) => {
    const parts = await loaded({ source: { auth: { type: 'bearer', users: { user: 'secret' } } } });
    parts.source.fault({ method: 'GET', path: '/token', action: status(code) });
    await copied(parts);
    const posts = parts.source.accessLog.filter(({ method, path }) => method === 'POST' && path === '/token');
    expect(posts.map(({ status: answer, authorization }) => [answer, authorization])).toEqual([[200, undefined]]);
  });
});

describe('a token server whose plan has no room for a new repository', () => {
  it('is understood as a quota', async () => {
    const { source, target, copy } = await loaded({ target: { auth: { type: 'bearer', users: { user: 'secret' } } } });
    const body = '{"errors":[{"code":"DENIED","message":"registry contains 1 repositories, limit is 1"}]}';
    target.fault({ path: '/token', action: status(403, body) });
    await expect(copy()).rejects.toMatchObject({ kind: 'quota', host: target.host, retryable: false });
    expect(source.requests(({ path }) => path.includes('/blobs/'))).toEqual([]);
  });
});

describe('a list of tags', () => {
  it('is requested without a number where 1,000 are too many', async () => {
    const { source } = await loaded();
    source.fault({ path: '/tags/list', query: /n=1000/, action: status(400, errors('PAGINATION_NUMBER_INVALID')) });
    const endpoints = [{ host: source.host, insecure: true }];
    const factory = new RegistryFactory({ endpoints, hosts: { allow: [], deny: [] }, env: {} });
    try {
      const client = factory.client(source.host, { resolve: async () => [] });
      expect(await client.listTags(SOURCE)).toEqual(['v1']);
    } finally {
      factory.close();
    }
  });
});
