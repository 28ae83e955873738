/**
 * The registries for the benchmark of a hostile namespace, in a separate process: a target, a source of good images,
 * two sources with trickling layers, and one with the largest manifests that a copy may have.
 */
import { buildImage, loadImage } from '../fakes/images.js';
import { FakeRegistry } from '../fakes/registry.js';

export interface HostileRegistries {
  readonly target: string;
  readonly good: string;
  readonly dripping: readonly string[];
  readonly large: string;
}

export interface HostileRegistriesRequest {
  readonly goodImages: number;
  readonly dripImages: number;
  readonly largeImages: number;
}

process.once('message', (message: HostileRegistriesRequest) => void start(message));

async function start({ goodImages, dripImages, largeImages }: HostileRegistriesRequest): Promise<void> {
  const registries = Array.from({ length: 5 }, () => FakeRegistry.start());
  const [target, good, large, ...dripping] = await Promise.all(registries);
  if (target === undefined || good === undefined || large === undefined) throw new Error('a registry did not start');
  for (let i = 0; i < goodImages; i += 1) {
    loadImage(good, `good/app-${i}`, buildImage({ layerSize: 1_000_000, seed: 10 + i }), '1.0');
  }
  for (const registry of dripping) {
    registry.fault({ path: /\/blobs\/sha256/, action: { type: 'drip', interval: 10_000 } });
  }
  for (let i = 0; i < dripImages; i += 1) {
    const options = { platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 100_000_000, seed: 500 + i };
    const image = buildImage(options);
    for (const registry of dripping) loadImage(registry, `evil/drip-${i}`, image, '1.0');
  }
  for (let i = 0; i < largeImages; i += 1) {
    const image = buildImage({ layersPerPlatform: 4_000, layerSize: 16, seed: 700 + i });
    loadImage(large, `evil/large-${i}`, image, '1.0');
  }
  const answer: HostileRegistries = {
    target: target.host,
    good: good.host,
    large: large.host,
    dripping: dripping.map(({ host }) => host),
  };
  process.send?.(answer);
}
