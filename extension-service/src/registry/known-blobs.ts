import { BoundedMap } from '../util/bounded-map.js';

export const MAX_KNOWN_BLOBS = 20_000;

/** The source of a blob in a target, and who could read it there. */
export interface BlobOrigin {
  /** `host/repository` of the source. */
  readonly source: string;
  /** It was read there without credentials, so anyone may have it. */
  readonly anonymous: boolean;
}

/** A blob in a repository of a target. */
export interface KnownBlob extends BlobOrigin {
  readonly repository: string;
}

/** A blob by `HOST DIGEST`; undefined if the registry no longer has it. */
export type BlobChange = readonly [key: string, blob: KnownBlob | undefined];

/** Where targets have blobs, from which later copies mount them. */
export class KnownBlobs {
  readonly #blobs = new BoundedMap<string, KnownBlob>(MAX_KNOWN_BLOBS);
  readonly #changed = new BoundedMap<string, true>(MAX_KNOWN_BLOBS);

  /** @param earlier the blobs that an earlier background worker knew */
  constructor(earlier: readonly BlobChange[] = []) {
    for (const [key, blob] of earlier) if (blob !== undefined) this.#blobs.set(key, blob);
  }

  get(host: string, digest: string): KnownBlob | undefined {
    return this.#blobs.get(keyOf(host, digest));
  }

  set(host: string, digest: string, blob: KnownBlob): void {
    this.#blobs.set(keyOf(host, digest), blob);
    this.#changed.set(keyOf(host, digest), true);
  }

  forget(host: string, digest: string): void {
    this.#blobs.delete(keyOf(host, digest));
    this.#changed.set(keyOf(host, digest), true);
  }

  /** The changes since the last call. */
  takeChanges(): readonly BlobChange[] {
    const changes = [...this.#changed.keys()].map((key): BlobChange => [key, this.#blobs.get(key)]);
    this.#changed.clear();
    return changes;
  }
}

function keyOf(host: string, digest: string): string {
  return `${host} ${digest}`;
}
