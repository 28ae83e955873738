/**
 * Two in-memory registries in a separate process, so that they do not share the event loop of the measured code. The
 * source holds `big` images of 3 platforms; the target already has the images of the benchmark's Pod.
 */
import { buildImage, loadImage } from '../fakes/images.js';
import { FakeRegistry } from '../fakes/registry.js';

export interface RegistriesRequest {
  readonly bigImages: number;
  readonly layerSize: number;
  /** Target repositories that exist, with tag `1.0`. */
  readonly present: readonly string[];
}

process.once('message', (message: RegistriesRequest) => void start(message));

async function start({ bigImages, layerSize, present }: RegistriesRequest): Promise<void> {
  const source = await FakeRegistry.start();
  const target = await FakeRegistry.start({ keepBlobs: false });
  for (let i = 0; i < bigImages; i += 1) {
    const image = buildImage({
      platforms: ['linux/amd64', 'linux/arm64', 'linux/s390x'],
      layersPerPlatform: 5,
      layerSize,
      seed: 10 + i,
    });
    loadImage(source, `big/image-${i}`, image, '1.0');
  }
  const small = buildImage({ seed: 1 });
  for (const repository of present) loadImage(target, repository, small, '1.0');
  process.send?.({ source: source.host, target: target.host });
}
