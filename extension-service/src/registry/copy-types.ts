import type { Reference } from '../core/image/reference.js';
import type { RegistryClient } from './client.js';
import type { BlobLedger } from './ledger.js';
import type { TargetImage } from './presence.js';
import type { Descriptor } from './types.js';

export interface CopyOptions {
  /** A digest wins over a tag. */
  readonly source: {
    readonly client: RegistryClient;
    readonly reference: Pick<Reference, 'repository' | 'tag' | 'digest'>;
  };
  /** The tag `published` is put last. With `digest`, it must be the digest of the source's image. */
  readonly target: TargetImage;
  /**
   * `os/architecture[/variant]` to keep of an index. The smaller index has another digest, so this is for tags; an image
   * named by digest is copied whole. Attestations stay with their platform, nested indexes stay whole.
   */
  readonly platforms?: 'all' | readonly string[];
  /** Copies signatures, attestations and SBOMs too, as well as it can: their failures are warnings. */
  readonly referrers?: boolean;
  /** Puts the manifests again although the target has them; blobs that are there are not sent again. */
  readonly force?: boolean;
  /** The target's tags can't be moved: a tag that holds another image is a conflict before anything is sent. */
  readonly immutable?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: CopyProgress) => void;
  /** Shared by the copies of a process, so that a blob is sent once, and an image read once. */
  readonly ledger?: BlobLedger;
  readonly limits?: Partial<CopyLimits>;
}

export interface CopyLimits {
  /** Blobs on their way at once. */
  readonly parallelBlobs: number;
  /** Levels of indexes. */
  readonly depth: number;
  /** Manifests in all. */
  readonly manifests: number;
  /** Bytes of all manifests. */
  readonly manifestBytes: number;
  /** Bytes of all blobs, as the manifests state them. */
  readonly blobBytes: number;
}

export const DEFAULT_COPY_LIMITS: CopyLimits = {
  parallelBlobs: 4,
  depth: 5,
  manifests: 1_000,
  manifestBytes: 64 * 1024 * 1024,
  blobBytes: 512 * 1024 ** 3,
};

/** `present` (the target had it), `mounted` and `done` are final; `transferred` counts from 0 again when an upload is repeated. */
export interface CopyProgress {
  readonly kind: 'manifest' | 'blob';
  readonly descriptor: Descriptor;
  readonly state: 'waiting' | 'running' | 'present' | 'mounted' | 'done';
  /** Bytes. */
  readonly transferred: number;
  readonly total: number;
}

export interface CopyResult {
  /** Of what the target's reference now names. */
  readonly digest: string;
  readonly mediaType: string;
  /** Of what the source's reference named; differs from `digest` when platforms were left out. */
  readonly sourceDigest: string;
  /** `present`: nothing was missing. `tagged`: only the tag was. */
  readonly outcome: 'copied' | 'tagged' | 'present';
  /** By `os/architecture[/variant]`; empty when the manifests were not read because nothing was missing. */
  readonly platforms: Readonly<Record<string, string>>;
  readonly blobs: Readonly<Record<BlobOutcome, BlobCount>>;
  readonly manifestsPushed: number;
  readonly requests: { readonly source: number; readonly target: number };
  /** What failed without failing the image. */
  readonly warnings: readonly string[];
}

export type BlobOutcome = 'uploaded' | 'mounted' | 'present';
export interface BlobCount {
  readonly count: number;
  readonly bytes: number;
}
