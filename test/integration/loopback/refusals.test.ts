import { describe, expect, it, onTestFinished } from 'vitest';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { buildImage, DOCKER_MANIFEST, loadImage, OCI_CONFIG, OCI_MANIFEST } from '../../fakes/images.js';
import { bytesContent } from '../../fakes/registry-content.js';
import { pair } from './copy-pair.js';

const errorBody = (code: string, message: string): string => JSON.stringify({ errors: [{ code, message }] });

describe('a target that refuses a manifest', () => {
  it.each([
    [
      'its quota',
      403,
      errorBody('DENIED', 'already has the maximum allowed number of images'),
      'quota',
      /maximum allowed number.*quota is used up/,
    ],
    [
      'its policy',
      412,
      errorBody('PROJECTPOLICYVIOLATION', 'the image is not signed'),
      'policy',
      /not signed.*does not release/,
    ],
    [
      'an immutable tag',
      409,
      errorBody('TAG_IMMUTABLE', 'tag v1 is immutable'),
      'conflict',
      /tag v1 is immutable.*refers to another image/,
    ],
    ['the size', 413, '<html><title>413 too large</title></html>', 'too-large', /413 too large/],
    ['its rights', 403, errorBody('DENIED', 'push access denied'), 'forbidden', /push access denied/],
    [
      'its lock (Azure/azure-sdk-for-net#22827)',
      405,
      errorBody('REGISTRY_DISALLOWED_OPERATION', 'The operation is disallowed on this registry, repository or image.'),
      'forbidden',
      /is disallowed.*is locked/,
    ],
  ])('for %s reports its own words once', async (reason, status, body, kind, message) => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', buildImage(), 'v1');
    target.fault({ method: 'PUT', path: '/manifests/v1', action: { type: 'status', status, body } });
    await expect(copy()).rejects.toMatchObject({
      kind,
      host: target.host,
      retryable: false,
      // Only for missing rights a hint about the credentials follows.
      advised: reason !== 'its rights',
      message: expect.stringMatching(message) as string,
    });
    expect(target.requests(({ method, path }) => method === 'PUT' && path.endsWith('/manifests/v1'))).toHaveLength(1);
    expect(target.tags('mirror/library/app')).toEqual([]);
  });

  it('for its media type names the type, and the setting of zot', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', buildImage({ docker: true, platforms: ['linux/amd64'] }), 'v1');
    target.fault({ method: 'PUT', path: '/manifests/', action: { type: 'status', status: 415, body: '' } });
    const refusal = await copy().catch((reason: unknown) => reason);
    expect(refusal).toMatchObject({ kind: 'unsupported', retryable: false });
    expect((refusal as Error).message).toContain(DOCKER_MANIFEST);
    expect((refusal as Error).message).toContain('docker2s2');
  });

  it.each([
    ['in three codes', 500, [{ code: 'UNKNOWN' }, { code: 'UNKNOWN' }, { code: 'MANIFEST_BLOB_UNKNOWN', message: '' }]],
    ['in words', 400, [{ code: 'MANIFEST_INVALID', message: 'invalid URL on layer' }]],
  ])(
    'for foreign layers (%s) names the setting of distribution, and is not queried repeatedly',
    async (_, status, errors) => {
      const { source, target, copy } = await pair();
      const config = bytesContent(Buffer.from('{}'));
      source.putBlob('library/app', config);
      const mediaType = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
      const digest = `sha256:${'a'.repeat(64)}`;
      const manifest = {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: { mediaType: OCI_CONFIG, digest: config.digest, size: config.size },
        layers: [{ mediaType, digest, size: 10, urls: ['https://layers.example/a'] }],
      };
      source.putManifest('library/app', 'v1', OCI_MANIFEST, Buffer.from(JSON.stringify(manifest)));
      target.fault({
        method: 'PUT',
        path: '/manifests/',
        action: { type: 'status', status, body: JSON.stringify({ errors }) },
      });
      await expect(copy()).rejects.toMatchObject({
        kind: 'unsupported',
        retryable: false,
        message: expect.stringContaining('validation.manifests.urls.allow') as string,
      });
      expect(target.requests(({ method, path }) => method === 'PUT' && path.includes('/manifests/')).length).toBe(1);
    },
  );
});

describe('a source', () => {
  it('whose scan is still running is retried later', async () => {
    const { source, copy } = await pair();
    loadImage(source, 'library/app', buildImage(), 'v1');
    const body = errorBody('PROJECTPOLICYVIOLATION', 'the vulnerability scan is Running');
    source.fault({ path: '/manifests/', action: { type: 'status', status: 412, body } });
    await expect(copy()).rejects.toMatchObject({ kind: 'policy', retryable: true, retryAfter: 30_000 });
  });

  it('that requires a client certificate fails with one line that says so', async () => {
    const { ca, cert, key } = await makeCertificates({ hosts: ['127.0.0.1'] });
    let connections = 0;
    const server = createServer({ cert, key, requestCert: true, rejectUnauthorized: true, ca }, () => undefined);
    server.on('connection', () => (connections += 1));
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const factory = new RegistryFactory({
      endpoints: [{ host, insecure: false, ca }],
      hosts: { allow: [], deny: [] },
      env: {},
    });
    onTestFinished(() => {
      factory.close();
      server.close();
    });
    const client = factory.client(host, { resolve: async () => [] });
    const refusal = await client.headManifest('library/app', 'v1').catch((reason: unknown) => reason);
    expect(refusal).toMatchObject({ kind: 'unauthorized', retryable: false });
    expect((refusal as Error).message).toMatch(/client certificate/);
    expect((refusal as Error).message).not.toMatch(/\n|:error:/);
    expect(connections).toBe(1);
  });
});

describe('many requests of one copy', () => {
  it('cause no leak warning of node', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on('warning', note);
    onTestFinished(() => void process.off('warning', note));
    const { source, copy } = await pair();
    const platforms = Array.from({ length: 8 }, (_, index) => `linux/arm/v${index + 1}`);
    loadImage(source, 'library/app', buildImage({ platforms, layersPerPlatform: 4, attestations: true }), 'v1');
    await copy({ signal: new AbortController().signal, limits: { parallelBlobs: 32 } });
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([]);
  });
});
