import type { CopyLimits } from './copy-types.js';

/** A copy would read or hold more than its limits allow; the message names the limit. */
export class CopyLimitError extends Error {
  override readonly name = 'CopyLimitError';
}

/**
 * The limits of one copy, the image and its referrers together: registries decide how many manifests refer to each
 * other, so the budget ends it. Each method throws CopyLimitError.
 */
export class CopyBudget {
  readonly #limits: CopyLimits;
  #manifests = 0;
  #manifestBytes = 0;
  #descriptors = 0;
  #blobBytes = 0;
  #referrers = 0;

  constructor(limits: CopyLimits) {
    this.#limits = limits;
  }

  /** Counts a manifest that was read, with its number of descriptors. */
  takeManifest(bytes: number, descriptors: number): void {
    const { manifests, manifestBytes, descriptors: most } = this.#limits;
    this.#manifests += 1;
    this.#manifestBytes += bytes;
    this.#descriptors += descriptors;
    if (this.#manifests > manifests) throw new CopyLimitError(`the image has more than ${manifests} manifests`);
    if (this.#manifestBytes > manifestBytes) {
      throw new CopyLimitError(`the manifests exceed ${manifestBytes} bytes in total`);
    }
    if (this.#descriptors > most) throw new CopyLimitError(`the manifests have more than ${most} descriptors in total`);
  }

  /** Called before the children of an index are read. */
  checkChildren(count: number): void {
    const { manifests } = this.#limits;
    if (this.#manifests + count > manifests) throw new CopyLimitError(`the image has more than ${manifests} manifests`);
  }

  takeBlobs(bytes: number): void {
    this.#blobBytes += bytes;
    const { blobBytes } = this.#limits;
    if (this.#blobBytes > blobBytes) throw new CopyLimitError(`the blobs exceed ${blobBytes} bytes in total`);
  }

  /** Bytes of a list of referrers. */
  takeList(bytes: number): void {
    this.#manifestBytes += bytes;
    const { manifestBytes } = this.#limits;
    if (this.#manifestBytes > manifestBytes) {
      throw new CopyLimitError(`manifests and referrers lists exceed ${manifestBytes} bytes in total`);
    }
  }

  /** How many of `wanted` referrers may be copied. */
  takeReferrers(wanted: number): number {
    const taken = Math.min(wanted, Math.max(0, this.#limits.referrers - this.#referrers));
    this.#referrers += taken;
    return taken;
  }
}
