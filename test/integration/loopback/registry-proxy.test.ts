import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { anonymousKeychain } from '../../../extension-service/src/credentials/keychain.js';
import type { RegistryClient } from '../../../extension-service/src/registry/client.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { TlsProxy } from '../../fakes/tls-proxy.js';

/** A proxy that accepts the CONNECT and never responds. Node's requests then have no socket and get no events. */

const HOST = 'registry.example.com';
let proxy: TlsProxy;
let factory: RegistryFactory;

beforeEach(async () => {
  proxy = await TlsProxy.start({ hosts: { [HOST]: undefined } });
});
afterEach(async () => {
  factory.close();
  await proxy.close();
});

function client(connect: number): RegistryClient {
  factory = new RegistryFactory({
    endpoints: [],
    hosts: { allow: [], deny: [] },
    env: { HTTPS_PROXY: proxy.url },
    retry: { attempts: 1 },
    timeouts: { connect },
  });
  return factory.client(HOST, anonymousKeychain);
}

/** Returns the result of the request, or that it is still running. */
async function within(milliseconds: number, work: Promise<unknown>): Promise<unknown> {
  const ended = work.then(
    () => 'answered',
    (error: unknown) => error,
  );
  return Promise.race([ended, sleep(milliseconds, 'still under way')]);
}

describe.each(['connect', 'handshake'] as const)('a proxy that swallows the %s', (at) => {
  beforeEach(() => proxy.setBlackHole(HOST, at));

  it('is left at once when the request is aborted', async () => {
    const head = client(60_000).headManifest('app', 'latest', { signal: AbortSignal.timeout(100) });
    expect(await within(5_000, head)).toMatchObject({ name: 'TimeoutError' });
  });

  it('ends the request after the connect timeout', async () => {
    const head = client(200).headManifest('app', 'latest');
    expect(await within(5_000, head)).toMatchObject({ kind: 'unreachable', host: HOST });
  });
});
