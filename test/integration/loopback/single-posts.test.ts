import { describe, expect, it } from 'vitest';
import { BlobLedger } from '../../../extension-service/src/registry/ledger.js';
import { buildImage, loadImage, type BuiltImage } from '../../fakes/images.js';
import type { AccessLogEntry, FakeRegistry, FaultAction } from '../../fakes/registry.js';
import { expectComplete, pair, type Pair } from './copy-pair.js';

/** A single POST sends a blob in one request (OCI distribution-spec, "Single POST"). The tests read the registry's log. */

const REPOSITORY = 'mirror/library/app';
const SINGLE_POST = /^digest=/;
const KIBIBYTE = 1024;

const singlePosts = ({ accessLog }: FakeRegistry): readonly AccessLogEntry[] =>
  accessLog.filter(({ method, query }) => method === 'POST' && SINGLE_POST.test(query));
const starts = ({ accessLog }: FakeRegistry): readonly AccessLogEntry[] =>
  accessLog.filter(({ method, query }) => method === 'POST' && !SINGLE_POST.test(query));
const puts = (registry: FakeRegistry): readonly string[] =>
  registry.requests(({ method, path }) => method === 'PUT' && path.includes('/uploads/'));

const small = (seed: number): BuiltImage =>
  buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layersPerPlatform: 3, layerSize: 20 * KIBIBYTE, seed });

/** Copies different images one after the other, with what the process has learned. */
async function copyAll({ source, target, copy }: Pair, images: readonly BuiltImage[]): Promise<void> {
  const ledger = new BlobLedger();
  for (const [index, image] of images.entries()) {
    const tag = `v${index}`;
    loadImage(source, 'library/app', image, tag);
    await copy({ ledger, from: { tag }, to: { published: tag } });
    expectComplete(target, REPOSITORY, image);
    expect(target.manifest(REPOSITORY, tag)?.digest).toBe(image.digest);
  }
  expect(target.openUploads).toBe(0);
}

describe('a registry that takes single POSTs', () => {
  it('gets each small blob in one request, after one blob whose storage is checked', async () => {
    const both = await pair({ target: { monolithicPost: true } });
    const { target } = both;
    await copyAll(both, [small(1)]);
    expect(target.requests(({ method, path }) => method === 'HEAD' && path.includes('/blobs/'))).toHaveLength(1);
    const before = { starts: starts(target).length, singles: singlePosts(target).length };
    const second = small(2);
    await copyAll(both, [second]);
    expect(starts(target).length - before.starts).toBe(0);
    expect(singlePosts(target).length - before.singles).toBe(second.blobs.length);
    expect(singlePosts(target).every(({ status }) => status === 201)).toBe(true);
  });

  it('gets them with a login', async () => {
    const auth = { type: 'bearer', users: { user: 'secret' } } as const;
    const both = await pair({ target: { monolithicPost: true, auth } });
    await copyAll(both, [small(1), small(2)]);
    expect(starts(both.target).length).toBeLessThan(small(1).blobs.length);
  });

  it('gets large layers in an upload, streamed', async () => {
    const both = await pair({ target: { monolithicPost: true } });
    const large = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 2, layerSize: 1024 * KIBIBYTE });
    await copyAll(both, [large]);
    expect(singlePosts(both.target)).toHaveLength(1);
    expect(puts(both.target)).toHaveLength(2);
  });

  it('receives no single POST above oci.uploadChunk', async () => {
    const both = await pair({ target: { monolithicPost: true }, uploadChunk: 8 * KIBIBYTE });
    await copyAll(both, [small(1), small(2)]);
    expect(singlePosts(both.target).length).toBeGreaterThan(0);
    expect(Math.max(...both.target.accessLog.map(({ bytesIn }) => bytesIn))).toBeLessThanOrEqual(8 * KIBIBYTE);
  });

  it('gets the blob again after "too many requests"', async () => {
    const both = await pair({ target: { monolithicPost: true } });
    both.target.fault({ method: 'POST', query: SINGLE_POST, times: 2, action: { type: 'status', status: 429 } });
    await copyAll(both, [small(1), small(2)]);
    expect(singlePosts(both.target).map(({ status }) => status)).toContain(429);
    expect(singlePosts(both.target).length).toBeGreaterThan(small(2).blobs.length);
  });

  it('and later begins an upload instead, as another replica may, gets the blob in that upload', async () => {
    const both = await pair({ target: { monolithicPost: true } });
    const { target } = both;
    await copyAll(both, [small(1)]);
    const location = `/v2/${REPOSITORY}/blobs/uploads/lost`;
    target.fault({
      method: 'POST',
      query: SINGLE_POST,
      action: { type: 'status', status: 202, headers: { location }, body: '' },
    });
    await copyAll(both, [small(2)]);
    const asked = singlePosts(target).length;
    await copyAll(both, [small(3)]);
    expect(singlePosts(target)).toHaveLength(asked);
  });

  it('and later names another digest, gets the blob in an upload before its manifest', async () => {
    const both = await pair({ target: { monolithicPost: true } });
    const { target } = both;
    await copyAll(both, [small(1)]);
    const headers = { 'docker-content-digest': `sha256:${'0'.repeat(64)}` };
    target.fault({ method: 'POST', query: SINGLE_POST, action: { type: 'status', status: 201, headers, body: '' } });
    await copyAll(both, [small(2)]);
    expect(target.accessLog.filter(({ method, status }) => method === 'PUT' && status !== 201)).toEqual([]);
  });

  it('and later keeps nothing, is sent the blobs again when it rejects the manifest', async () => {
    const both = await pair({ target: { monolithicPost: true } });
    const { target } = both;
    await copyAll(both, [small(1)]);
    target.fault({ method: 'POST', query: SINGLE_POST, action: { type: 'status', status: 201, body: '' } });
    await copyAll(both, [buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 2, layerSize: 10_000, seed: 2 })]);
    const asked = singlePosts(target).length;
    await copyAll(both, [small(3)]);
    expect(singlePosts(target)).toHaveLength(asked);
  });
});

describe('a registry without single POSTs', () => {
  it('that ignores the body, as distribution does, is tried with one blob', async () => {
    const both = await pair();
    await copyAll(both, [small(1), small(2)]);
    expect(singlePosts(both.target).map(({ status }) => status)).toEqual([202]);
    expect(puts(both.target)).toHaveLength(small(1).blobs.length + small(2).blobs.length);
  });

  const wrong = `sha256:${'0'.repeat(64)}`;
  const status = (code: number, more: object = {}): FaultAction => ({ type: 'status', status: code, ...more });
  it.each<[string, FaultAction]>([
    ['400', status(400)],
    ['403', status(403)],
    ['404', status(404)],
    ['404 in words', status(404, { body: '404 page not found\n' })],
    ['405', status(405, { body: '' })],
    ['411', status(411, { body: '' })],
    ['413', status(413, { body: '' })],
    ['415', status(415)],
    ['501', status(501)],
    ['500', status(500)],
    ['204', status(204, { body: '' })],
    ['202 without a Location', status(202, { body: '' })],
    ['201 and keeps nothing', status(201, { body: '' })],
    ['201 with another digest', status(201, { headers: { 'docker-content-digest': wrong }, body: '' })],
    ['201 with a text for a digest', status(201, { headers: { 'docker-content-digest': '../..' }, body: '' })],
    ['a page with 201', { type: 'html', status: 201 }],
    ['a page with 200', { type: 'html', status: 200 }],
    ['a closed connection', { type: 'reset', after: 0 }],
    ['413 before the body', { type: 'refuse', status: 413 }],
  ])('that answers %s loses nothing, and is tried with one blob', async (_, action) => {
    const both = await pair({ target: { monolithicPost: true } });
    both.target.fault({ method: 'POST', query: SINGLE_POST, action });
    await copyAll(both, [small(1), small(2)]);
    expect(singlePosts(both.target)).toHaveLength(1);
  });

  it('that does not answer loses nothing', async () => {
    const both = await pair({ target: { monolithicPost: true } });
    both.target.fault({ method: 'POST', query: SINGLE_POST, action: { type: 'hang' } });
    await copyAll(both, [small(1)]);
    expect(singlePosts(both.target)).toHaveLength(1);
  });
});

describe('a source', () => {
  it('whose small blob has other bytes reaches no target', async () => {
    const { source, target, copy } = await pair({ target: { monolithicPost: true } });
    const image = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 10_000 });
    loadImage(source, 'library/app', image, 'v1');
    source.fault({ method: 'GET', path: /\/blobs\/sha/, action: { type: 'wrong-bytes' } });
    await expect(copy()).rejects.toMatchObject({ kind: 'invalid', host: source.host });
    expect(singlePosts(target)).toHaveLength(0);
    for (const { digest } of image.blobs) expect(target.blob(digest)).toBeUndefined();
    source.clearFaults();
    await copy();
    expectComplete(target, REPOSITORY, image);
    expect(singlePosts(target)).toHaveLength(1);
  });

  it('that interrupts a small blob is read further', async () => {
    const both = await pair({ target: { monolithicPost: true } });
    both.source.fault({ method: 'GET', path: /\/blobs\/sha/, times: 4, action: { type: 'reset', after: 5_000 } });
    await copyAll(both, [small(1), small(2)]);
    expect(singlePosts(both.target).length).toBeGreaterThan(small(2).blobs.length);
  });
});
