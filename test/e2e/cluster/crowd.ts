import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { expectOk } from './kube-api.js';
import type { KubeApi } from './kube-api.js';
import { pod } from './pods.js';

export interface Image {
  readonly reference: string;
  /** The repository of the copy in the target, which has the tag `1`. */
  readonly repository: string;
  readonly digest: string;
}

export interface ImageSize {
  readonly layerSize: number;
  readonly layersPerPlatform?: number;
}

/**
 * Puts different images into the source. They do not share blobs. `host` is the address at which the service reaches
 * the source.
 */
export function images(source: FakeRegistry, host: string, prefix: string, count: number, size: ImageSize): Image[] {
  return Array.from({ length: count }, (_, index) => {
    const name = `${prefix}-${index}`;
    const seed = 1 + index + 1_000 * prefix.length + (prefix.charCodeAt(0) % 97) * 10_000;
    const digest = loadImage(source, name, buildImage({ seed, ...size }), '1');
    return { reference: `${host}/${name}:1`, repository: `mirror/${host.replace(':', '_')}/${name}`, digest };
  });
}

/** Creates a Pod for each image, this many in parallel. */
export async function createPods(api: KubeApi, references: readonly string[], atOnce = 20): Promise<object[]> {
  const left = references.map((reference) => pod(reference));
  const created: object[] = [];
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        created.push(expectOk(await api.create(next), 'create a Pod').body as object);
      }
    }),
  );
  return created;
}
