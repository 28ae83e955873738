import { describe, expect, it } from 'vitest';
import { makeCertificates } from '../../fakes/certificates.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { pair } from './copy-pair.js';

/** Answers of proxies and of registries that do not know their own address. */

const image = buildImage({ layerSize: 20_000 });
const HOUR_MS = 3_600_000;

describe('a page of a proxy', () => {
  it.each([
    ['a manifest', '/manifests/'],
    ['a layer', '/blobs/uploads/'],
  ])('with status 200 in answer to the PUT of %s is a failure, and no copy', async (_, path) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    target.fault({ method: 'PUT', path, action: { type: 'html', status: 200 } });
    await expect(copy()).rejects.toMatchObject({
      kind: 'invalid',
      message: expect.stringContaining('an HTML page: is there a proxy or login page in between?') as string,
    });
    expect(target.manifest('mirror/library/app', 'v1')).toBeUndefined();
  });
});

describe('Retry-After with a date', () => {
  it.each([-HOUR_MS, 0, HOUR_MS])('is read by the clock of the registry, which is %i ms ahead', async (ahead) => {
    const { source, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    const theirs = Math.floor((Date.now() + ahead) / 1_000) * 1_000;
    const headers = { date: new Date(theirs).toUTCString(), 'retry-after': new Date(theirs + 30_000).toUTCString() };
    source.fault({ path: '/manifests/', action: { type: 'status', status: 429, headers } });
    await expect(copy()).rejects.toMatchObject({ kind: 'throttled', retryAfter: 30_000 });
  });
});

describe('a registry behind a proxy that ends TLS, which names itself with http', () => {
  it('is followed over TLS', async () => {
    const { cert, key } = await makeCertificates({ hosts: ['127.0.0.1'] });
    const { source, copy, target } = await pair({ source: { tls: { cert, key } } });
    loadImage(source, 'library/app', image, 'v1');
    source.fault({ path: '/manifests/', times: 1, action: { type: 'redirect', to: 'http://127.0.0.1/', status: 301 } });
    await copy();
    expect(target.manifest('mirror/library/app', 'v1')?.digest).toBe(image.digest);
  });
});
