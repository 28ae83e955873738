import { describe, expect, it } from 'vitest';
import { makeCertificates } from '../../fakes/certificates.js';
import { buildImage, loadImage, OCI_INDEX, OCI_MANIFEST } from '../../fakes/images.js';
import type { FaultAction, FaultRule } from '../../fakes/registry.js';
import { pair } from './copy-pair.js';

/** Responses of proxies, and of registries that do not know their own address. */

const image = buildImage({ layerSize: 20_000 });
const HOUR_MS = 3_600_000;

describe('a page of a proxy', () => {
  it.each([
    ['a manifest', '/manifests/'],
    ['a layer', '/blobs/uploads/'],
  ])('with status 200 in response to the PUT of %s is a failure', async (_, path) => {
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
  it.each([-HOUR_MS, 0, HOUR_MS])('is read by the clock of the registry, which is %i ms fast', async (ahead) => {
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

const header = (name: string, value: string): FaultAction => ({ type: 'header', name, value });
const status = (code: number, headers: Readonly<Record<string, string>> = {}): FaultAction => ({
  type: 'status',
  status: code,
  headers,
});
const TARGET = 'mirror/library/app';
const TAG = /\/manifests\/v1$/;
const ENCODING = 'content-encoding';

describe('a source', () => {
  it.each<[string, FaultRule]>([
    ['types with parameters', { path: TAG, action: header('content-type', `${OCI_INDEX}; charset=UTF-8; v="1,2"`) }],
    ['types in capitals', { path: TAG, action: header('content-type', OCI_INDEX.toUpperCase()) }],
    ['types in quotes', { path: TAG, action: header('content-type', `"${OCI_INDEX}"`) }],
    ['no types', { path: '/manifests/', action: { type: 'omit-header', name: 'content-type' } }],
    ['no lengths', { path: '/', action: { type: 'omit-header', name: 'content-length' } }],
    ['headers of 100 KB', { path: '/', action: header('content-security-policy', 'x'.repeat(100_000)) }],
    ['layers as HTML', { path: '/blobs/', action: header('content-type', 'text/html') }],
    ['the coding of a store', { path: '/', action: header(ENCODING, 'aws-chunked') }],
    ['a charset as a coding', { path: '/', action: header(ENCODING, 'UTF-8') }],
    ['no coding, in words', { path: '/', action: header(ENCODING, 'none') }],
    ['a coding that it has not applied', { path: '/manifests/', action: header(ENCODING, 'gzip') }],
    ['the same by its old name', { path: '/manifests/', action: header(ENCODING, 'x-gzip') }],
    ['the same, twice', { path: '/manifests/', action: header(ENCODING, 'gzip, gzip') }],
    ['200 to every HEAD', { method: 'HEAD', path: '/manifests/', action: { type: 'status', status: 200, body: '' } }],
    ...[408, 421, 423, 425, 460, 499, 520, 599].map((code): [string, FaultRule] => [
      `status ${code} once`,
      { path: '/manifests/', times: 1, action: status(code) },
    ]),
    ...['-5', 'soon', '0', '0.01', ' 0 '].map((text): [string, FaultRule] => [
      `Retry-After: ${text}`,
      { path: '/manifests/', times: 1, action: status(429, { 'retry-after': text }) },
    ]),
  ])('with %s is copied as it is', async (_, rule) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    source.fault(rule);
    expect((await copy({ referrers: true })).warnings).toEqual([]);
    expect(target.manifest(TARGET, 'v1')?.digest).toBe(image.digest);
  });

  it('with an unknown content coding is refused, and the coding is named', async () => {
    const { source, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    source.fault({ path: '/manifests/', action: header(ENCODING, 'compress') });
    await expect(copy()).rejects.toMatchObject({ message: expect.stringContaining('"compress"') as string });
  });
});

describe('a target', () => {
  it.each<[string, FaultRule]>([
    ...[408, 421, 423, 425, 460, 499].flatMap((code): [string, FaultRule][] => [
      [`status ${code} once for a layer`, { method: 'PUT', path: '/uploads/', times: 1, action: status(code) }],
      [`status ${code} once for a manifest`, { method: 'PUT', path: '/manifests/', times: 1, action: status(code) }],
    ]),
    [
      'a code in small letters',
      {
        method: 'PUT',
        path: '/uploads/',
        times: 1,
        action: { type: 'status', status: 400, body: '{"errors":[{"code":"blob_upload_invalid"}]}' },
      },
    ],
    ['headers of 100 KB', { path: '/', action: header('content-security-policy', 'x'.repeat(100_000)) }],
    ['no Location at the end', { method: 'PUT', path: '/', action: { type: 'omit-header', name: 'location' } }],
  ])('with %s has the image', async (_, rule) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    target.fault(rule);
    expect((await copy()).warnings).toEqual([]);
    expect(target.manifest(TARGET, 'v1')?.digest).toBe(image.digest);
  });
});

describe('an entry of an index', () => {
  it.each<[string, object]>([
    ['a version with spaces', { os: 'linux', architecture: 'amd64', 'os.version': '10.0 (build)' }],
    ['an os alone', { os: 'linux' }],
    ['a platform of empty texts', { os: '', architecture: '' }],
    ['a list for a platform', []],
    ['a variant of null', { os: 'linux', architecture: 'arm', variant: null }],
  ])('with %s is copied, and the index is as it was', async (_, platform) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    const [child] = image.manifests;
    const entry = { mediaType: OCI_MANIFEST, digest: child?.digest, size: child?.bytes.length, platform };
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, subject: {}, manifests: [entry] };
    const bytes = Buffer.from(JSON.stringify(index));
    source.putManifest('library/app', 'v1', OCI_INDEX, bytes);
    await copy();
    expect(target.manifest(TARGET, 'v1')?.bytes.equals(bytes)).toBe(true);
    expect(target.manifest(TARGET, child?.digest ?? '')?.digest).toBe(child?.digest);
  });
});
