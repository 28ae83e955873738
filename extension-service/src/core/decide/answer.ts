import { imagePlace, imagePointer } from './image-places.js';
import type { ImagePlaceKey } from './image-places.js';
import type { PodContainer } from './pod.js';

/** A container's new image. */
export interface Swap {
  readonly container: PodContainer;
  readonly image: string;
}

export interface ImagePatch {
  readonly op: 'replace';
  readonly path: string;
  readonly value: string;
}

/** The body that the generated Kyverno policies expect. */
export interface ImagesAnswer {
  readonly images: Partial<Record<ImagePlaceKey, Record<string, string>>>;
  readonly patches: readonly ImagePatch[];
}

/** Both forms of the answer: by list and name, and as JSON patches. Swaps that change nothing are omitted. */
export function imagesAnswer(swaps: readonly Swap[]): ImagesAnswer {
  const images: Partial<Record<ImagePlaceKey, Record<string, string>>> = {};
  const patches: ImagePatch[] = [];
  for (const { container, image } of swaps) {
    if (image === container.image) continue;
    // The API server rejects such a name after the webhook; until then nothing may interpret it as anything but a
    // name.
    if (!container.name.includes('{{')) {
      const list = (images[container.list] ??= Object.create(null) as Record<string, string>);
      list[container.name] = image;
    }
    patches.push({ op: 'replace', path: imagePointer(imagePlace(container.list), container.index), value: image });
  }
  return { images, patches };
}
