import type { Reference } from '../core/image/reference.js';
import type { ImageStore } from './image-store.js';
import type { RegistryError } from './errors.js';
import type { BlobLedger } from './ledger.js';
import type { Limiter } from './limiter.js';
import type { TargetImage } from './presence.js';
import type { ReferrerKind } from './referrer-kinds.js';
import type { Descriptor } from './types.js';

/**
 * How to check the target for an image.
 *
 * - `name`: its top manifest.
 * - `tree`: every manifest, by reading it, and every blob, by HEAD.
 * - `bytes`: like `tree`, and reads the first byte of every blob.
 * - `due`: `name` for an image that an earlier run found complete recently ({@link BlobLedger.complete}). Otherwise
 * `tree`, with the referrers of every manifest for an image that an earlier run knows.
 */
export type PresenceCheck = 'name' | 'due' | 'tree' | 'bytes';

export interface CopyOptions {
  /** A digest wins over a tag. */
  readonly source: {
    readonly client: ImageStore;
    readonly reference: Pick<Reference, 'repository' | 'tag' | 'digest'>;
  };
  /** The tag `published` is put last. With `digest`, it must be the digest of the source's image. */
  readonly target: TargetImage;
  /**
   * `os/architecture[/variant]` to keep of an index. The smaller index has another digest, so this is for tags; an
   * image named by digest is copied whole. Attestations stay with their platform; entries without a platform, including
   * nested indexes, stay whole.
   */
  readonly platforms?: 'all' | readonly string[];
  /** Also copy signatures, attestations and SBOMs if possible: their failures are warnings, or unfinished. */
  readonly referrers?: boolean;
  /**
   * For an existing image: `top` compares what refers to the image itself, `all` also what refers to each of its
   * manifests that `presence` checks, and the tags of cosign 2. A copied image gets all.
   * @default top
   */
  readonly presentReferrers?: 'top' | 'all';
  /** Puts the manifests again even if the target has them; blobs are sent again if they cannot be read. */
  readonly force?: boolean;
  /** How to check the target; missing parts are sent. @default name */
  readonly presence?: PresenceCheck;
  /** The target's tags are immutable: a tag that points to another image is a conflict before anything is sent. */
  readonly immutable?: boolean;
  /**
   * Called before anything is sent of an image that the target does not have under its name; an error that it throws
   * ends the copy. `digest` is the source's, even if platforms are dropped; `platforms` reads the manifest.
   */
  readonly admit?: (digest: string, platforms: () => Promise<readonly string[]>) => Promise<void>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: CopyProgress) => void;
  /** Shared by the copies of a process, so that a blob is sent once, and an image is read once. */
  readonly ledger?: BlobLedger;
  readonly limits?: Partial<CopyLimits>;
  /** Limits the blobs of all copies of a process. @default only `limits.parallelBlobs` of each copy */
  readonly blobs?: Limiter;
}

/** For one copy: the image and all its referrers. */
export interface CopyLimits {
  /** Maximum parallel blobs; as many manifests are read or put in parallel. */
  readonly parallelBlobs: number;
  /** Levels of indexes. */
  readonly depth: number;
  /** Maximum manifests in total. */
  readonly manifests: number;
  /** Maximum referrers in total. */
  readonly referrers: number;
  /** Maximum bytes of all manifests and of the lists of referrers. */
  readonly manifestBytes: number;
  /** Maximum entries of all manifests. */
  readonly descriptors: number;
  /** Maximum bytes of all blobs, as stated in the manifests. */
  readonly blobBytes: number;
}

export const DEFAULT_COPY_LIMITS: CopyLimits = {
  parallelBlobs: 4,
  depth: 5,
  manifests: 1_024,
  referrers: 500,
  manifestBytes: 64 * 1024 * 1024,
  descriptors: 10_000,
  blobBytes: 512 * 1024 ** 3,
};

/**
 * `present` (the target had it), `mounted` and `done` are final; `transferred` restarts at 0 when an upload is
 * repeated.
 */
export interface CopyProgress {
  readonly kind: 'manifest' | 'blob';
  readonly descriptor: Descriptor;
  readonly state: 'waiting' | 'running' | 'present' | 'mounted' | 'done';
  /** Bytes. */
  readonly transferred: number;
  readonly total: number;
}

export interface CopyResult {
  /** The target's reference now points to it. */
  readonly digest: string;
  readonly mediaType: string;
  /** The source's reference pointed to it; differs from `digest` if platforms were dropped. */
  readonly sourceDigest: string;
  /**
   * `present`: nothing was missing. `tagged`: only the tag was missing. `repaired`: something below the top was
   * missing.
   */
  readonly outcome: 'copied' | 'tagged' | 'present' | 'repaired';
  /** By `os/architecture[/variant]`; empty if the manifests were not read because nothing was missing. */
  readonly platforms: Readonly<Record<string, string>>;
  readonly blobs: Readonly<Record<BlobOutcome, BlobCount>>;
  readonly manifestsPushed: number;
  readonly requests: { readonly source: number; readonly target: number };
  /** Failures that did not make the image fail. */
  readonly warnings: readonly string[];
  /** Parts that the target had lost, or never had, and has now; for messages. */
  readonly repaired: readonly string[];
  /** Referrers that failed for a temporary reason; another run retries them. */
  readonly unfinished: readonly UnfinishedReferrer[];
}

export interface UnfinishedReferrer {
  /** Such as `referrers of sha256:…`. */
  readonly what: string;
  readonly kind: ReferrerKind;
  readonly error: RegistryError;
}

export type BlobOutcome = 'uploaded' | 'mounted' | 'present';
export interface BlobCount {
  readonly count: number;
  readonly bytes: number;
}
