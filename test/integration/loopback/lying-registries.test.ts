import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { RegistryClient } from '../../../extension-service/src/registry/client.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { buildImage, loadImage, OCI_LAYER, OCI_MANIFEST } from '../../fakes/images.js';
import { FakeRegistry, type FaultAction, type FaultRule } from '../../fakes/registry.js';
import { bytesContent, noise, sha256 } from '../../fakes/registry-content.js';
import { expectComplete, pair } from './copy-pair.js';

/** Registries whose answers are not true. A copy fails with a clear error, or is complete; it never ends half-made. */

const TARGET = 'mirror/library/app';
const OTHER = sha256(Buffer.from('other'));
const image = buildImage({ layerSize: 200_000 });
/** Its layer is larger than what sockets hold. */
const large = buildImage({ layersPerPlatform: 1, layerSize: 8_000_000, platforms: ['linux/amd64'] });
const isUpload = { method: 'PUT', path: '/blobs/uploads/' } as const;

describe('a target whose answer to a write is not true', () => {
  const LIES: readonly (readonly [string, FaultRule, RegExp])[] = [
    ['does not store blobs', { ...isUpload, action: { type: 'status', status: 201 } }, /BLOB|blob/],
    [
      'does not store the manifests of platforms',
      { method: 'PUT', path: '/manifests/sha256', action: { type: 'status', status: 201 } },
      /MANIFEST/,
    ],
    [
      'stores another blob',
      { ...isUpload, action: { type: 'header', name: 'docker-content-digest', value: OTHER } },
      /stored sha256/,
    ],
    [
      'stores another manifest',
      { method: 'PUT', path: '/manifests/', action: { type: 'header', name: 'docker-content-digest', value: OTHER } },
      /stored sha256:.* instead of/,
    ],
    [
      'accepts blobs before their end, and does not have them',
      { ...isUpload, action: { type: 'early', status: 201 } },
      /accepted the upload after \d+ of 8000000 bytes, and does not have the blob/,
    ],
  ];
  it.each(LIES)('%s fails the copy without a tag', async (_, rule, words) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', large, 'v1');
    target.fault(rule);
    const error: unknown = await copy().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ host: target.host });
    expect(String(error)).toMatch(words);
    expect(target.tags(TARGET)).toEqual([]);
  });

  it('receives a blob again that it has not stored once', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    target.fault({ ...isUpload, times: 1, action: { type: 'status', status: 201 } });
    await copy();
    expectComplete(target, TARGET, image);
  });

  it('receives the bytes of a blob when it has mounted another one', async () => {
    const { source: registry, copy } = await pair({ same: true });
    loadImage(registry, 'library/app', image, 'v1');
    registry.fault({
      method: 'POST',
      query: /^mount=/,
      action: { type: 'status', status: 201, headers: { 'docker-content-digest': OTHER } },
    });
    const { blobs } = await copy();
    expectComplete(registry, TARGET, image);
    expect(blobs.uploaded.count).toBe(image.blobs.length);
  });
});

/** A client with one connection for each use. */
function clientOf(host: string): RegistryClient {
  const factory = new RegistryFactory({
    endpoints: [{ host, insecure: true }],
    hosts: { allow: [], deny: [] },
    env: {},
    timeouts: { connect: 2_000, headers: 2_000, idle: 300 },
    retry: { attempts: 1 },
    maxSockets: 1,
  });
  onTestFinished(() => factory.close());
  return factory.client(host, { resolve: () => Promise.resolve([]) });
}

async function single(): Promise<{ readonly registry: FakeRegistry; readonly client: RegistryClient }> {
  const registry = await FakeRegistry.start();
  onTestFinished(() => registry.close());
  return { registry, client: clientOf(registry.host) };
}

const bytes = noise(8_000_000, 7);
const layer = { mediaType: OCI_LAYER, digest: sha256(bytes), size: bytes.length };

async function upload(client: RegistryClient, from: RegistryClient, repository = 'app'): Promise<string> {
  return client.uploadBlob(repository, layer, () => from.getBlob('app', layer));
}

describe('a target that answers an upload before its end', () => {
  it('has the blob, whose download ends', async () => {
    const source = await single();
    const { registry, client } = await single();
    source.registry.putBlob('app', bytes);
    registry.fault({
      ...isUpload,
      action: () => {
        // Another client has sent it in the meantime.
        registry.putBlob('app', bytesContent(bytes));
        return { type: 'early', status: 201 };
      },
    });
    // More bytes may be mounted from the source only if it has shown them.
    expect(await upload(client, source.client)).toBe('mounted');
    registry.clearFaults();
    expect(await upload(client, source.client, 'other')).toBe('uploaded');
    expect(registry.blob(layer.digest, 'other')?.size).toBe(layer.size);
  });

  it('does not have it, and each connection ends', async () => {
    const source = await single();
    const { registry, client } = await single();
    source.registry.putBlob('app', bytes);
    registry.fault({ ...isUpload, times: 1, action: { type: 'early', status: 201 } });
    await expect(upload(client, source.client)).rejects.toThrow(/accepted the upload after/);
    expect(await upload(client, source.client)).toBe('uploaded');
  });

  it('in chunks fails the copy, and the next copy is complete', async () => {
    const { source, target, copy } = await pair({ uploadChunk: 4_000_000 });
    loadImage(source, 'library/app', large, 'v1');
    target.fault({ method: 'PATCH', times: 1, action: { type: 'early', status: 202 } });
    await expect(copy()).rejects.toMatchObject({
      host: target.host,
      message: expect.stringMatching(/received 4000000 of \d+ bytes of the upload/) as string,
    });
    expect(target.tags(TARGET)).toEqual([]);
    await copy();
    expectComplete(target, TARGET, large);
  });

  it('and reads no more does not keep the connection', async () => {
    const sockets: Socket[] = [];
    const puts: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket.on('error', () => undefined));
      socket.on('data', (data) => {
        if (data.subarray(0, 4).toString() === 'PUT ') puts.push(socket);
        // The first request is answered, and not read any further.
        if (socket === puts[0]) socket.pause();
        socket.write('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      sockets.forEach((socket) => socket.destroy());
      server.close();
    });
    const client = clientOf(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    const manifest = { mediaType: OCI_MANIFEST, digest: layer.digest, bytes: noise(32_000_000, 1) };
    // All bytes are written at once, and most of them stay in this process.
    await client.putManifest('app', 'v1', manifest);
    await client.putManifest('app', 'v2', { ...manifest, bytes: Buffer.from('{}') });
    expect(new Set(puts).size).toBe(2);
  });
});

describe('a source', () => {
  it.each(['gzip', 'deflate'] as const)(
    'with content coding %s is closed before its first byte, and its connection is free',
    async (coding) => {
      const { registry, client } = await single();
      registry.putBlob('app', bytes);
      registry.fault({ method: 'GET', path: '/blobs/', times: 1, action: { type: 'coding', coding } });
      const { stream } = await client.getBlob('app', layer);
      stream.on('error', () => undefined).destroy();
      const again = await client.getBlob('app', layer);
      let size = 0;
      for await (const piece of again.stream as AsyncIterable<Buffer>) size += piece.length;
      expect(size).toBe(layer.size);
    },
  );

  const moves: readonly (readonly [string, FaultAction | undefined])[] = [
    ['answers HEAD with a digest', undefined],
    ['answers HEAD without a digest', { type: 'omit-header', name: 'docker-content-digest' }],
    ['rejects HEAD', { type: 'status', status: 405 }],
  ];
  it.each(moves)('whose tag moves with each request and that %s is copied as one image', async (_, action) => {
    const { source, target, copy } = await pair();
    const images = [1, 2].map((seed) => buildImage({ seed, layerSize: 10_000 }));
    for (const one of images) loadImage(source, 'library/app', one, 'v1');
    let asked = 0;
    // The tag moves after each of its answers.
    const move = (): void => {
      const next = images[asked++ % 2];
      const top = next?.manifests.at(-1);
      if (top !== undefined) source.putManifest('library/app', 'v1', top.mediaType, top.bytes);
    };
    if (action !== undefined) {
      source.fault({
        method: 'HEAD',
        path: '/manifests/v1',
        action: () => {
          move();
          return action;
        },
      });
    }
    source.fault({
      path: '/manifests/v1',
      action: () => {
        move();
        return { type: 'delay', milliseconds: 0 };
      },
    });
    const { digest } = await copy();
    const copied = images.find((one) => one.digest === digest);
    if (copied === undefined) throw new Error('neither image');
    expectComplete(target, TARGET, copied);
    expect(target.manifest(TARGET, 'v1')?.digest).toBe(digest);
  });

  it('that lists a new referrer whenever it is asked is read for a bounded time', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    let added = 0;
    source.fault({
      path: '/referrers/',
      action: () => {
        for (const subject of source.digests('library/app').slice(0, 40)) {
          added += 1;
          const manifest = Buffer.from(
            JSON.stringify({
              schemaVersion: 2,
              mediaType: OCI_MANIFEST,
              artifactType: 'application/vnd.example',
              config: {
                mediaType: 'application/vnd.oci.empty.v1+json',
                digest: image.blobs[0]?.digest,
                size: image.blobs[0]?.size,
              },
              layers: [],
              subject: {
                mediaType: OCI_MANIFEST,
                digest: subject,
                size: source.manifest('library/app', subject)?.bytes.length,
              },
              annotations: { n: String(added) },
            }),
          );
          source.putManifest('library/app', sha256(manifest), OCI_MANIFEST, manifest);
        }
        return { type: 'delay', milliseconds: 0 };
      },
    });
    await copy({ referrers: true, limits: { referrers: 50 } });
    expectComplete(target, TARGET, image);
    expect(target.digests(TARGET).length).toBeLessThanOrEqual(image.manifests.length + 50);
  });
});
