import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import https, { type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls, { type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { readClientCertificate } from '../../../extension-service/src/kinds/oci/client-certificate.js';
import { RegistryFactory, type RegistryFactoryOptions } from '../../../extension-service/src/registry/factory.js';
import { addedCas } from '../../../extension-service/src/registry/transport/added-cas.js';
import type { RegistryClient } from '../../../extension-service/src/registry/client.js';
import { makeCertificates, type Certificates } from '../../fakes/certificates.js';

let served: Certificates;
let ours: Certificates;
let folder: string;
beforeAll(async () => {
  [served, ours] = await Promise.all([
    makeCertificates({ hosts: ['127.0.0.1'] }),
    makeCertificates({ hosts: ['client'] }),
  ]);
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-certificates-'));
});
afterAll(() => rm(folder, { recursive: true }));

const cleanups: (() => void)[] = [];
afterEach(() => cleanups.splice(0).forEach((cleanup) => cleanup()));

interface Answering {
  readonly host: string;
  /** Names in the client certificates; '' for a client without one. */
  readonly seen: string[];
  /** The client's port of each request. */
  readonly ports: (number | undefined)[];
}

/**
 * An HTTPS server that requests a client certificate from the CA `ours`, and responds to every HEAD or redirects it.
 */
async function start(requires: boolean, options: https.ServerOptions = {}, location?: string): Promise<Answering> {
  const seen: string[] = [];
  const ports: (number | undefined)[] = [];
  const listening = {
    cert: served.cert,
    key: served.key,
    requestCert: true,
    rejectUnauthorized: requires,
    ca: ours.ca,
  };
  const server: Server = https.createServer({ ...listening, ...options }, (request, response) => {
    const shown = (request.socket as TLSSocket).getPeerCertificate();
    seen.push(shown.subjectaltname ?? '');
    ports.push(request.socket.remotePort);
    response.writeHead(location === undefined ? 200 : 307, {
      'content-type': 'application/vnd.oci.image.manifest.v1+json',
      ...(location !== undefined && { location: `${location}${request.url ?? ''}` }),
    });
    response.end();
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen, ports };
}

function client(host: string, options: Partial<RegistryFactoryOptions>): RegistryClient {
  const factory = new RegistryFactory({
    endpoints: [],
    hosts: { allow: ['127.0.0.0/8'], deny: [] },
    env: {},
    retry: { attempts: 3, baseDelay: 1, maxDelay: 1 },
    ...options,
  });
  cleanups.push(() => factory.close());
  return factory.client(host, { resolve: async () => [] });
}

const file = async (name: string, text: string): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
};

describe('a client certificate', () => {
  const identity = async () =>
    readClientCertificate('r.example', {
      certFile: await file('client.crt', ours.cert),
      keyFile: await file('client.key', ours.key),
    });

  it('is shown to its registry, and to no other that this one redirects to', async () => {
    const other = await start(false);
    const registry = await start(true, {}, `https://${other.host}`);
    const clientCertificate = await identity();
    const endpoint = { host: registry.host, insecure: false, ca: served.ca, clientCertificate };
    await client(registry.host, { endpoints: [endpoint] }).headManifest('app', 'v1');
    expect(registry.seen).toEqual(['DNS:client']);
    expect(other.seen).toEqual(['']);
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    "that is missing is reported once, without OpenSSL's text (%s)",
    async (version) => {
      const registry = await start(true, { minVersion: version, maxVersion: version });
      const endpoints = [{ host: registry.host, insecure: false, ca: served.ca }];
      const error = (await client(registry.host, { endpoints })
        .headManifest('app', 'v1')
        .catch((reason: unknown) => reason)) as Error;
      expect(error).toMatchObject({ retryable: false });
      expect(error.message).toMatch(/client certificate/);
      expect(error.message).not.toMatch(/openssl|error:|\n|SSL alert/i);
      expect(registry.seen).toEqual([]);
    },
  );

  it.each<[string, (files: { cert: string; key: string }) => Promise<{ certFile: string; keyFile: string }>, RegExp]>([
    [
      'is not there',
      async ({ key }) => ({ certFile: join(folder, 'none'), keyFile: await file('k', key) }),
      /oci\.clientCertificate\.certFile of r\.example: .*none: the file does not exist/,
    ],
    [
      'has no certificate',
      async ({ key }) => ({ certFile: await file('c', 'nothing'), keyFile: await file('k', key) }),
      /certFile of r\.example: .* has no PEM certificate/,
    ],
    [
      'has no key',
      async ({ cert }) => ({ certFile: await file('c', cert), keyFile: await file('k', cert) }),
      /keyFile of r\.example: .* has no PEM key/,
    ],
    [
      'has the key of another certificate',
      async ({ cert }) => ({ certFile: await file('c', cert), keyFile: await file('k', served.key) }),
      /keyFile of r\.example: .* is not the key of the certificate in/,
    ],
  ])('whose file %s causes an error that names the key and the file', async (_, files, message) => {
    const named = await files(ours);
    expect(() => readClientCertificate('r.example', named)).toThrow(message);
  });
});

describe('CA certificates of the environment', () => {
  const logInWith = async (env: Record<string, string>, host: string, more: object = {}): Promise<string[]> => {
    const problems: string[] = [];
    const added = addedCas(env, (problem) => problems.push(problem));
    const endpoints = Object.keys(more).length === 0 ? [] : [{ host, insecure: false, ...more }];
    await client(host, { added, endpoints }).headManifest('app', 'v1');
    return problems;
  };

  it('are trusted in addition: SSL_CERT_FILE, SSL_CERT_DIR and, with a caFile, NODE_EXTRA_CA_CERTS', async () => {
    const registry = await start(false);
    const ca = await file('ca.pem', served.ca);
    await expect(logInWith({}, registry.host)).rejects.toThrow(
      /not trusted .*set caFile to its CA certificate, NODE_EXTRA_CA_CERTS to one for all registries/,
    );
    expect(await logInWith({ SSL_CERT_FILE: ca }, registry.host)).toEqual([]);
    expect(await logInWith({ SSL_CERT_DIR: `/nowhere:${folder}` }, registry.host)).toEqual([
      'SSL_CERT_DIR: /nowhere is not used: ENOENT',
    ]);
    expect(await logInWith({ NODE_EXTRA_CA_CERTS: ca }, registry.host, { ca: ours.ca })).toEqual([]);
    expect(
      await logInWith({ SSL_CERT_FILE: await file('other.pem', ours.ca) }, registry.host, { ca: served.ca }),
    ).toEqual([]);
    expect(registry.seen).toHaveLength(4);
  });

  it('are parsed once, and not for each connection', async () => {
    const registry = await start(false);
    const reader = client(registry.host, { endpoints: [{ host: registry.host, insecure: false, ca: served.ca }] });
    const ofNode = vi.spyOn(tls, 'createSecureContext');
    cleanups.push(() => ofNode.mockRestore());
    await Promise.all(Array.from({ length: 4 }, () => reader.headManifest('app', 'v1')));
    expect(new Set(registry.ports).size).toBeGreaterThan(1);
    expect(ofNode).not.toHaveBeenCalled();
  });

  it('that cannot be read are reported with their variable without stopping the service', async () => {
    const registry = await start(false);
    expect(await logInWith({ SSL_CERT_FILE: '/nowhere/ca.pem' }, registry.host, { ca: served.ca })).toEqual([
      'SSL_CERT_FILE: /nowhere/ca.pem is not used: ENOENT',
    ]);
  });
});
