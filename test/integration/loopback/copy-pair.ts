import { expect, onTestFinished } from 'vitest';
import { checkImage, copyImage, type CopyOptions } from '../../../extension-service/src/registry/copy.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import type { CreateRepository } from '../../../extension-service/src/registry/send-push.js';
import type { BuiltImage } from '../../fakes/images.js';
import { FakeRegistry, type FakeRegistryOptions } from '../../fakes/registry.js';

async function start(options?: FakeRegistryOptions): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options);
  onTestFinished(() => registry.close());
  return registry;
}

export interface Pair {
  readonly source: FakeRegistry;
  readonly target: FakeRegistry;
  readonly copy: (options?: PairOptions) => ReturnType<typeof copyImage>;
  /** Checks that the target has the image under its name. */
  readonly check: (digest: string, options?: PairOptions) => ReturnType<typeof checkImage>;
}

export type PairOptions = Partial<Omit<CopyOptions, 'source' | 'target'>> & { from?: object; to?: Partial<TargetName> };

interface TargetName {
  readonly repository: string;
  readonly published: string;
  readonly digest: string;
}

/** A source and a target registry, which close after the test, and copies of one image between them. */
export async function pair(
  options: {
    source?: FakeRegistryOptions;
    target?: FakeRegistryOptions;
    same?: boolean;
    anonymous?: boolean;
    uploadChunk?: number;
    createRepository?: CreateRepository;
    retry?: { readonly baseDelay: number; readonly maxDelay: number; readonly attempts?: number };
  } = {},
): Promise<Pair> {
  const source = await start(options.source);
  const target = options.same === true ? source : await start(options.target);
  const factory = new RegistryFactory({
    endpoints: [source, target].map(({ host }) => ({
      host,
      insecure: true,
      ...(options.uploadChunk !== undefined && { uploadChunk: options.uploadChunk }),
    })),
    hosts: { allow: [], deny: [] },
    env: {},
    timeouts: { connect: 2_000, headers: 1_000, idle: 300 },
    retry: options.retry ?? { baseDelay: 1, maxDelay: 5 },
  });
  onTestFinished(() => factory.close());
  const keychain = { resolve: async () => [{ username: 'user', password: 'secret' }] };
  const strangers = { resolve: async () => [] };
  const reader = options.anonymous === true ? strangers : keychain;
  const push = options.createRepository && { createRepository: options.createRepository };
  const clients = { source: factory.client(source.host, reader), target: factory.client(target.host, keychain, push) };
  const complete = ({ from, to, ...rest }: PairOptions = {}): CopyOptions => ({
    source: { client: clients.source, reference: { repository: 'library/app', tag: 'v1', ...from } },
    target: { client: clients.target, reference: { repository: 'mirror/library/app', published: 'v1', ...to } },
    ...rest,
  });
  return {
    source,
    target,
    copy: (asked) => copyImage(complete(asked)),
    check: (digest, asked) => checkImage(complete(asked), digest),
  };
}

/** Checks that the target has every manifest and blob of the image with the same bytes. */
export function expectComplete(target: FakeRegistry, repository: string, image: BuiltImage): void {
  for (const manifest of image.manifests)
    expect(target.manifest(repository, manifest.digest)?.bytes).toEqual(manifest.bytes);
  for (const blob of image.blobs) expect(target.blob(blob.digest, repository)?.size).toBe(blob.size);
}

export function writes(registry: FakeRegistry): string[] {
  return registry.requests((entry) => entry.method === 'PUT' || entry.method === 'POST' || entry.method === 'PATCH');
}
