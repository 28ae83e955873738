import { expect, it, describe, onTestFinished } from 'vitest';
import { copyImage } from '../../../extension-service/src/registry/copy.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { buildImage, loadImage, type BuiltImage } from '../../fakes/images.js';
import { FakeRegistry, type FakeRegistryOptions } from '../../fakes/registry.js';
import { TlsProxy } from '../../fakes/tls-proxy.js';
import { until } from '../../fakes/until.js';
import { expectComplete } from './copy-pair.js';

/**
 * Copies of many images whose source and target are one host, over few connections. A download waits for the upload of
 * its bytes. If downloads held all connections, each request that ends them would fail after the connect timeout.
 */

const MAX_SOCKETS = 3;
const IMAGES: readonly BuiltImage[] = Array.from({ length: 5 }, (_, seed) =>
  buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 3, layerSize: 200_000, seed: seed + 1 }),
);
const DIGESTS = IMAGES.flatMap(({ blobs }) => blobs.map(({ digest }) => digest));

async function start(options: FakeRegistryOptions): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options);
  onTestFinished(() => registry.close());
  return registry;
}

interface Hosts {
  readonly source: FakeRegistry;
  readonly target: FakeRegistry;
  readonly uploadChunk?: number;
  /** Tries of each request. @default 1 */
  readonly attempts?: number;
  /** The proxy in front of one registry, which has this name there. */
  readonly behind?: { readonly proxy: TlsProxy; readonly name: string };
}

/** Copies all images at once. */
function copyAll({ source, target, uploadChunk, attempts = 1, behind }: Hosts): {
  readonly factory: RegistryFactory;
  done: Promise<unknown>;
} {
  const [from, to] = [behind?.name ?? source.host, behind?.name ?? target.host];
  const factory = new RegistryFactory({
    endpoints: [...new Set([from, to])].map((host) => ({
      host,
      insecure: true,
      ...(uploadChunk !== undefined && { uploadChunk }),
    })),
    hosts: { allow: [], deny: [] },
    env: behind === undefined ? {} : { HTTPS_PROXY: behind.proxy.url },
    timeouts: { connect: 1_500 },
    retry: { attempts, baseDelay: 1 },
    maxSockets: MAX_SOCKETS,
  });
  onTestFinished(() => factory.close());
  const keychain = { resolve: () => Promise.resolve([{ username: 'user', password: 'secret' }]) };
  const clients = { source: factory.client(from, keychain), target: factory.client(to, keychain) };
  const copies = IMAGES.map((_, index) =>
    copyImage({
      source: { client: clients.source, reference: { repository: `app-${index}`, tag: 'v1' } },
      target: { client: clients.target, reference: { repository: `mirror/app-${index}`, published: 'v1' } },
    }),
  );
  return { factory, done: Promise.all(copies) };
}

function load(registry: FakeRegistry): void {
  for (const [index, image] of IMAGES.entries()) loadImage(registry, `app-${index}`, image, 'v1');
}

const isDownload = { method: 'GET', path: '/blobs/sha256:' } as const;
const isUpload = { method: 'PUT', path: '/blobs/uploads/' } as const;
const SLOW = { type: 'delay', milliseconds: 60 } as const;

async function oneRegistry(options: FakeRegistryOptions = {}): Promise<Hosts> {
  const registry = await start({ mounts: false, ...options });
  registry.fault({ ...isUpload, action: SLOW });
  load(registry);
  return { source: registry, target: registry };
}

/**
 * A busy machine may lose all bytes before a reset. With one count for all blobs, a single blob could get more resets
 * than it has tries.
 */
function breakEachDownloadOnce(registry: FakeRegistry, after: number): void {
  for (const digest of DIGESTS) {
    registry.fault({ method: 'GET', path: `/blobs/${digest}`, times: 1, action: { type: 'reset', after } });
  }
}

const HOSTS: readonly (readonly [string, () => Promise<Hosts>])[] = [
  ['one registry that rejects mounts', () => oneRegistry()],
  [
    'one registry whose token server has the same host',
    () => oneRegistry({ auth: { type: 'bearer', users: { user: 'secret' } } }),
  ],
  ['one registry that receives chunks', async () => ({ ...(await oneRegistry()), uploadChunk: 64 * 1024 })],
  [
    'one registry whose downloads break once',
    async () => {
      const hosts = await oneRegistry();
      breakEachDownloadOnce(hosts.source, 50_000);
      return { ...hosts, attempts: 3 };
    },
  ],
  [
    'one registry in chunks whose downloads break once',
    async () => {
      const hosts = await oneRegistry();
      breakEachDownloadOnce(hosts.source, 70_000);
      return { ...hosts, uploadChunk: 64 * 1024, attempts: 3 };
    },
  ],
  [
    'one registry behind a proxy',
    async () => {
      const hosts = await oneRegistry();
      const name = 'registry.example.com';
      const proxy = await TlsProxy.start({ hosts: { [name]: hosts.source.origin } });
      onTestFinished(() => proxy.close());
      return { ...hosts, behind: { proxy, name } };
    },
  ],
  [
    'a source that redirects to the target',
    async () => {
      const { target } = await oneRegistry();
      const source = await start({});
      load(source);
      source.fault({ ...isDownload, action: { type: 'redirect', to: target.origin } });
      return { source, target };
    },
  ],
];

describe('copies within one host, more at once than connections', () => {
  it.each(HOSTS)('are complete from %s', async (_, prepare) => {
    const hosts = await prepare();
    await copyAll(hosts).done;
    for (const [index, image] of IMAGES.entries()) {
      expectComplete(hosts.target, `mirror/app-${index}`, image);
      expect(hosts.target.manifest(`mirror/app-${index}`, 'v1')?.digest).toBe(image.digest);
    }
  });

  it('leave connections for lookups', async () => {
    const hosts = await oneRegistry();
    const { target } = hosts;
    target.clearFaults();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const uploads = (): number =>
      target.accessLog.filter(({ method, path }) => method === 'PUT' && path.includes('/uploads/')).length;
    target.fault({ ...isUpload, action: { type: 'wait', until: held } });
    const { factory, done } = copyAll(hosts);
    await until('uploads use all of their connections', () => uploads() === MAX_SOCKETS);
    const client = factory.client(target.host, { resolve: () => Promise.resolve([]) });
    expect(await client.headManifest('app-0', 'v1')).toMatchObject({ digest: IMAGES[0]?.digest });
    await client.probePush('mirror/probe');
    expect(uploads()).toBe(MAX_SOCKETS);
    release();
    await done;
  });
});
