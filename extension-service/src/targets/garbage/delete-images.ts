import type { GarbageDecision } from '../../core/gc/decide-garbage.js';
import { Limiter } from '../../registry/limiter.js';
import { ImageDeleter } from './image-deleter.js';
import type { ImageDeleterOptions } from './image-deleter.js';
import { PlatformTrial } from './platform-trial.js';

/** Maximum parallel requests to one registry, and maximum repositories at a time. */
export const MAX_PARALLEL = 4;
/** Images whose platforms are still there when gc is stopped: few, because nothing finds platforms without an index. */
const BATCH_SIZE = 16;

export interface DeleteImagesOptions extends ImageDeleterOptions {
  /** False: the registry deletes the platforms of a deleted index itself. `auto`: it shows whether it does. */
  readonly deletePlatforms: 'auto' | boolean;
}

/**
 * Deletes images, each index before its platforms, because registries keep a manifest that an index refers to. A
 * platform of several indexes is deleted once, and only if all of them are deleted.
 *
 * @returns the reasons of the images that the registry did not delete
 */
export async function deleteImages(
  options: DeleteImagesOptions,
  deletions: readonly GarbageDecision[],
): Promise<ReadonlyMap<GarbageDecision, string>> {
  const deleter = new ImageDeleter(options);
  const trial = new PlatformTrial(deleter, deletions);
  const isWanted = options.deletePlatforms === 'auto' ? await trial.run() : options.deletePlatforms;
  const repositories = new Map<string, GarbageDecision[]>();
  for (const one of deletions) {
    if (trial.deleted.has(one)) continue;
    const others = repositories.get(one.repository);
    if (others === undefined) repositories.set(one.repository, [one]);
    else others.push(one);
  }
  const [places, requests] = [new Limiter(MAX_PARALLEL), new Limiter(MAX_PARALLEL)];
  await Promise.all(
    [...repositories.values()].map((images) =>
      places.run(() => deleteFromRepository({ deleter, requests, isWanted }, images), options.signal),
    ),
  );
  return deleter.failures;
}

interface Work {
  readonly deleter: ImageDeleter;
  readonly requests: Limiter;
  /** Whether platforms have to be deleted. */
  readonly isWanted: boolean;
}

async function deleteFromRepository(
  { deleter, requests, isWanted }: Work,
  images: readonly GarbageDecision[],
): Promise<void> {
  /** Platforms of indexes that the registry keeps. */
  const staying = new Set<string>();
  for (let from = 0; from < images.length; from += BATCH_SIZE) {
    const batch = images.slice(from, from + BATCH_SIZE);
    await Promise.all(batch.map((one) => requests.run(() => deleter.deleteImage(one))));
    const deleted = batch.filter((one) => {
      if (!deleter.failures.has(one)) return true;
      one.children.forEach((child) => staying.add(child));
      return false;
    });
    if (!isWanted) continue;
    await Promise.all(
      deleted.map((one) => {
        const orphans = one.orphans.filter((orphan) => !staying.has(orphan));
        return requests.run(() => deleter.deletePlatforms(one, orphans));
      }),
    );
  }
}
