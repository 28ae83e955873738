import { createHash } from 'node:crypto';
import { BoundedMap } from '../util/bounded-map.js';

/** Maximum number of remembered images; the oldest are dropped first. */
export const MAX_COMPLETE_IMAGES = 20_000;

/** An image in a target that a run of a command found complete, or copied completely. */
export interface CompleteImage {
  /** `host/repository@digest` in the target. */
  readonly image: string;
  /** Milliseconds since the epoch; 0 when it is not known to be complete. */
  readonly at: number;
  /** Fingerprint of the source's list of referrers that was copied; absent when no list was requested. */
  readonly referrers?: string;
  /** Identifies the source's index and the selected platforms, as {@link selectionKey} does. */
  readonly selection?: string;
}

export interface EarlierRuns {
  readonly images: readonly CompleteImage[];
  /** Maximum milliseconds between two complete checks of an image. */
  readonly interval: number;
}

/** Images that need no complete check, because a run checked them a short time ago. */
export class CompleteImages {
  readonly #known = new BoundedMap<string, CompleteImage>(MAX_COMPLETE_IMAGES);
  readonly #interval: number;

  /** @param now milliseconds since the epoch */
  constructor(
    { images, interval }: EarlierRuns,
    private readonly now: () => number,
  ) {
    this.#interval = interval;
    for (const known of images) this.#known.set(known.image, known);
  }

  /** False means that the image needs a complete check. */
  isFresh(image: string): boolean {
    const known = this.#known.get(image);
    if (known === undefined) return false;
    const age = this.now() - known.at;
    // A negative age: the clock was set back.
    return age >= 0 && age < this.#interval * shareOf(image);
  }

  /** Whether an earlier run checked, copied or doubted the image. */
  isKnown(image: string): boolean {
    return this.#known.has(image);
  }

  note(image: string, selection: string | undefined): void {
    this.#known.set(image, { image, at: this.now(), ...(selection !== undefined && { selection }) });
  }

  /** The image may be incomplete: it is not fresh until it is noted again. */
  markUncertain(image: string): void {
    this.#known.set(image, { image, at: 0 });
  }

  all(): readonly CompleteImage[] {
    return [...this.#known.values()];
  }
}

/** Identifies an index that is made of a source's index and some of its platforms. */
export function selectionKey(sourceDigest: string, platforms: readonly string[]): string {
  return `${sourceDigest} ${[...new Set(platforms)].sort().join(',')}`;
}

/** From 0.5 to 1, by the name, so that images that were copied together are not all checked in the same run. */
function shareOf(image: string): number {
  return 0.5 + createHash('sha256').update(image).digest().readUInt16BE(0) / 0x2_0000;
}
