import { RegistryError } from './errors.js';
import { isLostUpload } from './upload-session.js';

/** How a server answers a PUT that it does not take with a body. */
const NO_BODY_STATUSES: ReadonlySet<number> = new Set([404, 405, 411, 415, 416, 501]);
/** Codes that such a server may send, also with 400: it has not seen the bytes, or does not know the blob. */
const NO_BODY_CODES: ReadonlySet<string> = new Set([
  'BLOB_UNKNOWN',
  'BLOB_UPLOAD_INVALID',
  'BLOB_UPLOAD_UNKNOWN',
  'DIGEST_INVALID',
  'NOT_FOUND',
  'SIZE_INVALID',
  'UNKNOWN',
  'UNSUPPORTED',
]);
/** Replicas without shared state lose uploads too; from this number on, the way of sending is in doubt. */
const LOST_UPLOADS = 2;

/**
 * Whether whole blobs are streamed to a registry as docker does it: in one PATCH, and an empty PUT. Artifactory answered a
 * PUT with a body with 404 BLOB_UNKNOWN (docker/buildx#196, containerd/containerd#3533).
 */
export class StreamUploads {
  #areNeeded = false;

  /**
   * The way of one blob: the usual PUT, unless the registry is known to need a stream.
   *
   * @param isWhole false for a blob in chunks, which is in PATCHes anyway
   */
  begin(isWhole: boolean): BlobWay {
    return new BlobWay(this.#areNeeded, isWhole, () => (this.#areNeeded = true));
  }
}

export class BlobWay {
  #isStreamed: boolean;
  #lost = 0;
  #refusal: RegistryError | undefined;

  constructor(
    areNeeded: boolean,
    private readonly isWhole: boolean,
    private readonly onNeeded: () => void,
  ) {
    this.#isStreamed = areNeeded;
  }

  /** Whether the next attempt streams the blob. */
  get isStreamed(): boolean {
    return this.#isStreamed;
  }

  /** The blob is stored. */
  worked(): void {
    if (this.#isStreamed) this.onNeeded();
  }

  /**
   * The error of a failed attempt: retryable if the registry has lost the upload, or if the blob is to be sent in the
   * other way. A refused stream leads back to the refusal of the PUT, which says more.
   */
  failed(error: unknown): unknown {
    if (!(error instanceof RegistryError)) return error;
    const isLost: boolean = isLostUpload(error);
    const again = (): RegistryError => error.as({ kind: 'server', retryable: true });
    if (this.#isStreamed && this.#refusal !== undefined) {
      this.#isStreamed = false;
      if (!isLost && !error.retryable) return this.#refusal;
    } else if (this.isWhole && !this.#isStreamed && this.#refusal === undefined && mayNeedStream(error)) {
      if (isLost) this.#lost += 1;
      if (isLost && this.#lost < LOST_UPLOADS) return again();
      this.#refusal = error;
      this.#isStreamed = true;
      return again();
    }
    return isLost ? again() : error;
  }
}

function mayNeedStream({ status = 0, diagnostics }: RegistryError): boolean {
  if (status === 400 ? diagnostics.length === 0 : !NO_BODY_STATUSES.has(status)) return false;
  return diagnostics.every(({ code }) => NO_BODY_CODES.has(code));
}
