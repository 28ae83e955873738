import { Readable } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { BlobStream } from '../../../extension-service/src/registry/blob-source.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { buildImage, loadImage, OCI_LAYER } from '../../fakes/images.js';
import { FakeRegistry, type AccessLogEntry } from '../../fakes/registry.js';
import { until } from '../../fakes/until.js';
import { expectComplete, pair } from './copy-pair.js';

/** The source of a blob is opened while the target starts the upload. The tests read the logs of both registries. */

const LAYER_BYTES = 8 * 1024 * 1024;
const LAYER = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: LAYER_BYTES });
const DIGEST = LAYER.blobs.find(({ size }) => size === LAYER_BYTES)?.digest ?? '';

const reads = ({ accessLog }: FakeRegistry): readonly AccessLogEntry[] =>
  accessLog.filter(({ method, path }) => method === 'GET' && path.includes(DIGEST));
const starts = ({ accessLog }: FakeRegistry): readonly AccessLogEntry[] =>
  accessLog.filter(({ method, query }) => method === 'POST' && !query.startsWith('digest='));

describe('the source of a blob', () => {
  it('is opened before the target has answered, and closed when that fails', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', LAYER, 'v1');
    target.fault({ method: 'POST', action: { type: 'hang' } });
    // Only the client ends this response.
    source.fault({ method: 'GET', path: DIGEST, action: { type: 'hang', after: 1_000_000 } });
    const failed = copy().catch((error: unknown) => error);
    await until('the source is opened', () => reads(source).length === 1);
    expect(starts(target).every(({ status }) => status === 0)).toBe(true);
    expect(await failed).toMatchObject({ kind: 'unreachable', host: target.host });
    // The log gets the bytes of a response when its connection is closed.
    await until('the connection is closed', () => (reads(source)[0]?.bytesOut ?? 0) > 0);
    expect(target.openUploads).toBe(0);
  });

  it('is closed when the upload does not start, also without the end of a copy', async () => {
    const target = await FakeRegistry.start();
    target.fault({ method: 'POST', action: { type: 'status', status: 403 } });
    const factory = new RegistryFactory({
      endpoints: [{ host: target.host, insecure: true }],
      hosts: { allow: [], deny: [] },
      env: {},
    });
    onTestFinished(async () => {
      factory.close();
      await target.close();
    });
    const client = factory.client(target.host, { resolve: () => Promise.resolve([]) });
    const stream = new Readable({ read: () => undefined });
    const opened: BlobStream = { host: 'source', stream, skip: 0, whole: true, resume: () => Promise.resolve(opened) };
    const blob = { mediaType: OCI_LAYER, digest: DIGEST, size: LAYER_BYTES };
    const upload = client.uploadBlob('app', blob, () => Promise.resolve(opened));
    await expect(upload).rejects.toMatchObject({ kind: 'forbidden' });
    expect(stream.destroyed).toBe(true);
  });

  it('is opened once, however often the upload start is attempted', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', LAYER, 'v1');
    target.fault({ method: 'POST', path: '/uploads/', times: 3, action: { type: 'status', status: 503 } });
    await copy();
    expectComplete(target, 'mirror/library/app', LAYER);
    expect(reads(source)).toHaveLength(1);
  });

  it('is retried as before for one upload, which is canceled', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', LAYER, 'v1');
    source.fault({ method: 'GET', path: DIGEST, action: { type: 'status', status: 503 } });
    await expect(copy()).rejects.toMatchObject({ kind: 'server', host: source.host });
    expect(reads(source)).toHaveLength(4);
    expect(starts(target).length).toBeLessThanOrEqual(2);
    expect(target.openUploads).toBe(0);
  });

  it('is resumed when it breaks while the target starts the upload', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', LAYER, 'v1');
    target.fault({ method: 'POST', action: { type: 'delay', milliseconds: 200 } });
    source.fault({ method: 'GET', path: DIGEST, times: 1, action: { type: 'reset', after: 1_000 } });
    await copy();
    expectComplete(target, 'mirror/library/app', LAYER);
    expect(target.openUploads).toBe(0);
  });

  it('is not opened for a mount', async () => {
    const { source, copy } = await pair({ same: true });
    loadImage(source, 'library/app', LAYER, 'v1');
    await copy();
    expectComplete(source, 'mirror/library/app', LAYER);
    expect(reads(source)).toHaveLength(0);
  });
});
