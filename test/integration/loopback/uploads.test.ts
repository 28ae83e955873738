import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { buildImage, loadImage, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, type BuiltImage } from '../../fakes/images.js';
import { bytesContent, noise, chunkedContent } from '../../fakes/registry-content.js';
import type { FakeRegistry, FaultAction, FaultRule } from '../../fakes/registry.js';
import { expectComplete, pair } from './copy-pair.js';

const TARGET = 'mirror/library/app';
const MEBIBYTE = 1024 * 1024;
const oneLayer = (layerSize: number): BuiltImage =>
  buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize });

/** Number of blob bytes that a registry has sent or received. */
const sent = ({ accessLog }: FakeRegistry): number =>
  accessLog
    .filter(({ method, path }) => method === 'GET' && path.includes('/blobs/sha'))
    .reduce((sum, { bytesOut }) => sum + bytesOut, 0);
const taken = ({ accessLog }: FakeRegistry): number =>
  accessLog.filter(({ path }) => path.includes('/blobs/uploads/')).reduce((sum, { bytesIn }) => sum + bytesIn, 0);

/** Returns a function that gives the size of the next cut. Sizes vary, but are the same in every run. */
function cuts(least: number, most: number): () => number {
  let state = 1;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return least + Math.floor((state / 2_147_483_648) * (most - least));
  };
}

describe('the Location of an upload', () => {
  it.each<[string, (location: URL) => string]>([
    ['a path', ({ pathname, search }) => `${pathname}${search}`],
    ['a path and host', ({ host, pathname, search }) => `//${host}${pathname}${search}`],
    ['relative to the request', ({ pathname, search }) => `${pathname.split('/').at(-1) ?? ''}${search}`],
    ['relative with a dot', ({ pathname, search }) => `./${pathname.split('/').at(-1) ?? ''}${search}`],
    ['with a fragment', ({ href }) => `${href}#part`],
    ['with an open query', ({ href }) => `${href}&`],
    ['with signed parameters', ({ href }) => `${href}&sig=a~b%20c%2Fd+e`],
  ])('is followed when it is %s', async (_, rewrite) => {
    const { source, target, copy } = await pair();
    const image = oneLayer(10_000);
    loadImage(source, 'library/app', image, 'v1');
    target.fault({ method: 'POST', action: { type: 'location', rewrite } });
    await copy();
    expectComplete(target, TARGET, image);
    const puts = target.accessLog.filter(({ method, path }) => method === 'PUT' && path.includes('/uploads/'));
    expect(puts).toHaveLength(2);
    for (const { query } of puts)
      expect(query).toMatch(/^_state=opaque%3D%2F(&sig=a~b%20c%2Fd\+e)?&digest=sha256%3A[a-f0-9]{64}$/);
  });
});

const error = (code: string): string => JSON.stringify({ errors: [{ code, message: 'no such upload' }] });

describe('a target', () => {
  it.each<[string, FaultAction]>([
    ['404 BLOB_UPLOAD_UNKNOWN', { type: 'status', status: 404, body: error('BLOB_UPLOAD_UNKNOWN') }],
    ['400 BLOB_UPLOAD_INVALID', { type: 'status', status: 400, body: error('BLOB_UPLOAD_INVALID') }],
    ['400 DIGEST_INVALID', { type: 'status', status: 400, body: error('DIGEST_INVALID') }],
    ['404 without a body', { type: 'status', status: 404, body: '' }],
    ['416', { type: 'status', status: 416, body: '' }],
    ['400 in words', { type: 'status', status: 400, body: 'blob upload unknown to registry' }],
    ['404 NAME_UNKNOWN', { type: 'status', status: 404, body: error('NAME_UNKNOWN') }],
  ])('that lost an upload (%s) receives another one', async (_, action) => {
    const { source, target, copy } = await pair();
    const image = oneLayer(10_000);
    loadImage(source, 'library/app', image, 'v1');
    target.fault({ method: 'PUT', path: '/uploads/', times: 2, action });
    await copy();
    expectComplete(target, TARGET, image);
  });

  it('that loses every upload is blamed, and the source is not reported as absent', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', oneLayer(10_000), 'v1');
    target.fault({
      method: 'PUT',
      path: '/uploads/',
      action: { type: 'status', status: 404, body: error('BLOB_UPLOAD_UNKNOWN') },
    });
    await expect(copy()).rejects.toMatchObject({ kind: 'server', host: target.host, retryable: true });
  });

  it.each([
    [404, 'BLOB_UNKNOWN'],
    [404, 'MANIFEST_BLOB_UNKNOWN'],
    [400, 'MANIFEST_BLOB_UNKNOWN'],
    [404, 'NOT_FOUND', 'Layers with digests sha256:1 required for pushing image do not exist'],
    [400, 'MANIFEST_INVALID', 'blob unknown to registry'],
  ])('whose manifest check lags behind its layers (%i %s) is retried', async (status, code, message = '') => {
    const { source, target, copy } = await pair();
    const image = oneLayer(10_000);
    loadImage(source, 'library/app', image, 'v1');
    target.fault({
      method: 'PUT',
      path: '/manifests/',
      times: 2,
      action: { type: 'status', status, body: JSON.stringify({ errors: [{ code, message }] }) },
    });
    await copy();
    expectComplete(target, TARGET, image);
    expect(target.requests(({ method }) => method === 'POST')).toHaveLength(2);
  });

  it('that has lost a layer receives it again', async () => {
    const { source, target, copy } = await pair();
    const image = oneLayer(10_000);
    loadImage(source, 'library/app', image, 'v1');
    const layer = image.blobs[0];
    // The registry falsely reports that it has the layer.
    target.fault({ method: 'HEAD', path: layer?.digest ?? '', action: { type: 'status', status: 200, body: '' } });
    await copy();
    expectComplete(target, TARGET, image);
  });

  it.each([413, 400, 403])(
    'whose proxy answers %i and closes during the upload is reported correctly',
    async (status) => {
      const { source, target, copy } = await pair();
      loadImage(source, 'library/app', oneLayer(8 * MEBIBYTE), 'v1');
      target.fault({ method: 'PUT', path: '/uploads/', action: { type: 'refuse', status } });
      const refusal = await copy().catch((reason: unknown) => reason);
      expect(refusal).toMatchObject({ status, host: target.host, retryable: false });
      if (status === 413)
        expect(refusal).toMatchObject({
          kind: 'too-large',
          message: expect.stringMatching(/set oci\.uploadChunk/) as string,
        });
      const puts = target.requests(({ method, path }) => method === 'PUT' && path.includes('/uploads/'));
      expect(puts.length).toBeLessThanOrEqual(2);
    },
  );

  it('that answers with the canonical digest takes a layer by sha512', async () => {
    const { source, target, copy } = await pair();
    const bytes = noise(50_000, 7);
    const digest = `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
    source.putBlob('library/app', chunkedContent([bytes], bytes.length, digest));
    const config = bytesContent(Buffer.from('{}'));
    source.putBlob('library/app', config);
    const manifest = {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: OCI_CONFIG, digest: config.digest, size: config.size },
      layers: [{ mediaType: OCI_LAYER, digest, size: bytes.length }],
    };
    source.putManifest('library/app', 'v1', OCI_MANIFEST, Buffer.from(JSON.stringify(manifest)));
    await copy();
    const stored = target.blob(digest, TARGET);
    expect(Buffer.concat([...(stored?.chunks(0, bytes.length) ?? [])]).equals(bytes)).toBe(true);
    expect(target.tags(TARGET)).toContain('v1');
  });
});

describe('chunks of an upload', () => {
  const patches = ({ accessLog }: FakeRegistry) => accessLog.filter(({ method }) => method === 'PATCH');

  it('have the configured size, and the last one has the remainder', async () => {
    const { source, target, copy } = await pair({ uploadChunk: 40_000 });
    const image = oneLayer(100_000);
    loadImage(source, 'library/app', image, 'v1');
    await copy();
    expectComplete(target, TARGET, image);
    expect(patches(target).map(({ headers, bytesIn }) => [headers['content-range'], bytesIn])).toEqual([
      ['0-39999', 40_000],
      ['40000-79999', 40_000],
      ['80000-99999', 20_000],
    ]);
  });

  it('have at least the minimum size of the registry', async () => {
    const { source, target, copy } = await pair({ uploadChunk: 10_000 });
    const image = oneLayer(100_000);
    loadImage(source, 'library/app', image, 'v1');
    target.fault({ method: 'POST', action: { type: 'header', name: 'oci-chunk-min-length', value: '60000' } });
    await copy();
    expectComplete(target, TARGET, image);
    expect(patches(target).map(({ bytesIn }) => bytesIn)).toEqual([60_000, 40_000]);
  });

  it('pass a proxy that limits bodies', async () => {
    const { source, target, copy } = await pair({ uploadChunk: 64 * 1024 });
    const image = oneLayer(MEBIBYTE);
    loadImage(source, 'library/app', image, 'v1');
    await copy();
    expectComplete(target, TARGET, image);
    expect(Math.max(...target.accessLog.map(({ bytesIn }) => bytesIn))).toBeLessThanOrEqual(64 * 1024);
  });

  it("that are interrupted resume at the registry's offset, without sending or reading twice", async () => {
    const { source, target, copy } = await pair({ uploadChunk: 256 * 1024 });
    const size = 4 * MEBIBYTE;
    const image = oneLayer(size);
    loadImage(source, 'library/app', image, 'v1');
    const next = cuts(32 * 1024, 128 * 1024);
    target.fault({ method: 'PATCH', action: () => ({ type: 'cut-body', after: next() }) });
    await copy();
    expectComplete(target, TARGET, image);
    expect(patches(target).length).toBeGreaterThan(30);
    expect(sent(source)).toBeLessThan(1.05 * size);
    expect(taken(target)).toBeLessThan(1.05 * size);
    expect(target.openUploads).toBe(0);
  });

  it('that the registry does not accept cause a clear error after one attempt', async () => {
    const { source, target, copy } = await pair({ uploadChunk: 64 * 1024 });
    loadImage(source, 'library/app', oneLayer(512 * 1024), 'v1');
    target.fault({ method: 'PATCH', action: { type: 'status', status: 405, body: '' } });
    await expect(copy()).rejects.toMatchObject({
      kind: 'unsupported',
      retryable: false,
      message: expect.stringContaining('remove oci.uploadChunk') as string,
    });
    expect(patches(target)).toHaveLength(1);
  });

  it('restart the upload when the registry has lost it', async () => {
    const { source, target, copy } = await pair({ uploadChunk: 64 * 1024 });
    const image = oneLayer(512 * 1024);
    loadImage(source, 'library/app', image, 'v1');
    target.fault({
      method: 'PATCH',
      after: 3,
      times: 1,
      action: { type: 'status', status: 404, body: error('BLOB_UPLOAD_UNKNOWN') },
    });
    await copy();
    expectComplete(target, TARGET, image);
    expect(target.requests(({ method }) => method === 'POST').length).toBe(3);
  });
});

describe('a source', () => {
  it('that interrupts every response is read further into the same upload', async () => {
    const { source, target, copy } = await pair();
    const size = 4 * MEBIBYTE;
    const image = oneLayer(size);
    loadImage(source, 'library/app', image, 'v1');
    const next = cuts(32 * 1024, 128 * 1024);
    source.fault({ method: 'GET', path: /\/blobs\/sha/, action: () => ({ type: 'reset', after: next() }) });
    await copy();
    expectComplete(target, TARGET, image);
    expect(sent(source)).toBeLessThan(1.05 * size);
    // There is one upload for the layer and one for the config.
    expect(target.requests(({ method }) => method === 'POST')).toHaveLength(2);
    expect(target.requests(({ method, path }) => method === 'PUT' && path.includes('/uploads/'))).toHaveLength(2);
  });

  it.each<[string, FaultRule]>([
    [
      'a 200 with everything',
      { path: /\/blobs\/sha/, after: 1, action: { type: 'omit-header', name: 'content-range' } },
    ],
    ['416', { path: /\/blobs\/sha/, after: 1, times: 1, action: { type: 'status', status: 416, body: '' } }],
    [
      'another part',
      {
        path: /\/blobs\/sha/,
        after: 1,
        times: 1,
        action: { type: 'header', name: 'content-range', value: 'bytes 1-2/3' },
      },
    ],
  ])('that answers the Range with %s is read from the start, and sent bytes are skipped', async (_, rule) => {
    const { source, target, copy } = await pair();
    const image = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 300_000 });
    loadImage(source, 'library/app', image, 'v1');
    const layer = image.blobs[0]?.digest ?? '';
    source.fault({ path: layer, times: 1, action: { type: 'reset', after: 100_000 } });
    source.fault({ ...rule, path: layer, after: 0 });
    await copy();
    expectComplete(target, TARGET, image);
    expect(target.requests(({ method }) => method === 'POST')).toHaveLength(2);
  });

  it('that sends nothing more is blamed after several attempts', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', oneLayer(300_000), 'v1');
    source.fault({ path: /\/blobs\/sha/, action: { type: 'reset', after: 500 } });
    await expect(copy()).rejects.toMatchObject({ kind: 'unreachable', host: source.host });
    expect(source.requests(({ path }) => path.includes('/blobs/sha')).length).toBeLessThanOrEqual(10);
    expect(target.openUploads).toBe(0);
  });

  it('that sends other bytes after an interruption cannot complete an upload', async () => {
    const { source, target, copy } = await pair();
    const image = oneLayer(300_000);
    loadImage(source, 'library/app', image, 'v1');
    const layer = image.blobs[0]?.digest ?? '';
    let answers = 0;
    source.fault({
      path: layer,
      action: () => (answers++ % 2 === 0 ? { type: 'reset', after: 100_000 } : { type: 'wrong-bytes' }),
    });
    await expect(copy()).rejects.toMatchObject({ kind: 'invalid', host: source.host });
    expect(target.blob(layer, TARGET)).toBeUndefined();
    expect(target.tags(TARGET)).toEqual([]);
  });

  it.each(['gzip', 'deflate', 'br'] as const)('behind a proxy that adds %s is copied byte for byte', async (coding) => {
    const { source, target, copy } = await pair();
    const image = oneLayer(200_000);
    loadImage(source, 'library/app', image, 'v1');
    source.fault({ method: 'GET', action: { type: 'coding', coding } });
    await copy();
    expectComplete(target, TARGET, image);
    expect(source.accessLog.every(({ headers }) => headers['accept-encoding'] === 'identity')).toBe(true);
  });

  it('behind a proxy that compresses and interrupts is copied as well', async () => {
    const { source, target, copy } = await pair();
    const image = oneLayer(200_000);
    loadImage(source, 'library/app', image, 'v1');
    const layer = image.blobs[0]?.digest ?? '';
    source.fault({ path: layer, times: 1, action: { type: 'reset', after: 100_000 } });
    source.fault({ path: layer, action: { type: 'coding', coding: 'gzip' } });
    await copy();
    expectComplete(target, TARGET, image);
  });
});

describe('an insecure registry', () => {
  it.each([
    ['all connections at once', false],
    ['one connection at a time', true],
  ])('that does not answer TLS and serves %s is detected as plain HTTP, once for all clients', async (_, serial) => {
    const { source } = await pair();
    const image = oneLayer(1_000);
    loadImage(source, 'library/app', image, 'v1');
    const [address = '', port = ''] = source.host.split(':');
    let hellos = 0;
    let last = Promise.resolve();
    const serve = (socket: Socket): void => {
      socket.once('data', (first: Buffer) => {
        // Byte 22 begins a TLS handshake record. The server waits for the end of a line.
        if (first[0] === 22) return void (hellos += 1);
        const onward = connect(Number(port), address);
        onward.on('error', () => socket.destroy());
        onward.write(first);
        socket.pipe(onward).pipe(socket);
      });
    };
    const front = createServer((socket) => {
      socket.on('error', () => undefined);
      if (!serial) return serve(socket);
      const turn = last;
      last = once(socket, 'close').then(() => turn);
      void turn.then(() => serve(socket));
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(front.address() as AddressInfo).port}`;
    const factory = new RegistryFactory({
      endpoints: [{ host, insecure: true }],
      hosts: { allow: [], deny: [] },
      env: {},
    });
    onTestFinished(() => {
      factory.close();
      front.close();
    });
    const keychain = { resolve: async () => [] };
    for (let client = 0; client < 2; client += 1) {
      expect((await factory.client(host, keychain).headManifest('library/app', 'v1'))?.digest).toBe(image.digest);
    }
    expect(hellos).toBe(1);
  });
});
