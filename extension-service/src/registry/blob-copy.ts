import type { BlobOutcome, CopyOptions, CopyProgress } from './copy-types.js';
import { RegistryError } from './errors.js';
import type { BlobLedger } from './ledger.js';
import { ContentMismatchError } from './blob-source.js';
import type { Descriptor, RequestContext } from './types.js';

/** Progress of a blob is reported at most once per this many bytes. */
const PROGRESS_STEP_BYTES = 1024 * 1024;

/** Minimum size of blobs that are also checked in a new repository: sending them twice costs more. */
const MIN_CHECKED_BYTES = 4 * 1024 * 1024;

/**
 * How to check whether the target has a blob: `ask` with HEAD, `read` by reading its first byte, since a registry may
 * answer 200 for a blob that its garbage collection removed; `send` not at all.
 */
export type BlobCheck = 'ask' | 'read' | 'send';

export interface CopiedBlob {
  readonly outcome: BlobOutcome;
  /** Its bytes were sent, mounted or read, by this copy or a parallel one. */
  readonly proven: boolean;
}

export interface BlobCopyOptions extends Pick<CopyOptions, 'source' | 'target'> {
  readonly ledger: BlobLedger;
  readonly signal: AbortSignal;
  readonly sourceContext: RequestContext;
  readonly targetContext: RequestContext;
}

interface UploadWay {
  readonly check: BlobCheck;
  /** A repository to mount the blob from. */
  readonly from: string | undefined;
  readonly report: ReportBlob;
  readonly requiredCredentials?: () => void;
}

export type ReportBlob = (state: CopyProgress['state'], transferred: number) => void;

/** Copies blobs from one repository to another, each once for all copies of a process. */
export class BlobCopy {
  readonly #options: BlobCopyOptions;
  readonly #source: string;

  constructor(options: BlobCopyOptions) {
    this.#options = options;
    this.#source = `${options.source.client.host}/${options.source.reference.repository}`;
  }

  async copy(descriptor: Descriptor, check: BlobCheck, report: ReportBlob): Promise<CopiedBlob> {
    const { target, ledger, signal } = this.#options;
    const { repository } = target.reference;
    const key = `${target.client.host}/${repository}@${descriptor.digest}`;
    const done = await ledger.once(key, signal, () => this.#send(descriptor, check, report));
    return done ?? { outcome: 'present', proven: true };
  }

  /** Whether the target returns the first byte of a blob that it reports to have. */
  async isReadable(descriptor: Descriptor): Promise<boolean> {
    const { target, targetContext } = this.#options;
    return target.client.canReadBlob(target.reference.repository, descriptor, targetContext);
  }

  async #send(descriptor: Descriptor, check: BlobCheck, report: ReportBlob): Promise<CopiedBlob> {
    const { target, ledger, signal, targetContext } = this.#options;
    const { repository } = target.reference;
    const { host } = target.client;
    const { digest, size } = descriptor;
    const from = check === 'ask' ? this.#mountableFrom(digest) : undefined;
    if (check === 'ask') {
      const isNewRepository = ledger.newRepositories.has(host, repository, digest);
      if (isNewRepository === true) return { outcome: 'present', proven: true };
      if (ledger.wasFound(host, repository, digest)) return { outcome: 'present', proven: false };
      // distribution does not list a repository that has blobs and no manifest, as after an interrupted copy.
      const isWorthChecking = isNewRepository === undefined || size >= MIN_CHECKED_BYTES;
      const isAsked = isWorthChecking && (from === undefined || !ledger.mounts(host));
      if (isAsked && (await target.client.headBlob(repository, descriptor, targetContext))) {
        ledger.note(host, repository, digest, { source: this.#source, anonymous: false });
        ledger.noteFound(host, repository, digest);
        return { outcome: 'present', proven: false };
      }
    }
    if (check === 'read' && (await this.isReadable(descriptor))) {
      ledger.note(host, repository, digest, { source: this.#source, anonymous: false });
      return { outcome: 'present', proven: true };
    }
    // A registry that lost the bytes would mount them from where it still lists them.
    if (check !== 'ask') ledger.forget(host, digest);
    const upload = (from: string | undefined, requiredCredentials?: () => void): Promise<CopiedBlob> =>
      this.#upload(descriptor, { check, from, report, ...(requiredCredentials && { requiredCredentials }) });
    if (check !== 'ask' || from !== undefined) return upload(from);
    await ledger.waitForBlob(host, digest, this.#source, signal);
    const mountable = this.#mountableFrom(digest);
    if (mountable !== undefined) return upload(mountable);
    return ledger.sendBlob(host, digest, this.#source, (requiredCredentials) => upload(undefined, requiredCredentials));
  }

  async #upload(descriptor: Descriptor, { check, from, report, requiredCredentials }: UploadWay): Promise<CopiedBlob> {
    const { source, target, ledger, sourceContext, targetContext } = this.#options;
    const { repository } = target.reference;
    const { host } = target.client;
    const { digest, size } = descriptor;
    let anonymous = true;
    const onCredentials = (): void => {
      anonymous = false;
      requiredCredentials?.();
    };
    const reading = { ...sourceContext, onCredentials, isListed: true };
    const outcome = await target.client
      .uploadBlob(
        repository,
        descriptor,
        () => source.client.getBlob(source.reference.repository, descriptor, reading),
        {
          ...targetContext,
          ...(from !== undefined && { from }),
          isRepair: check !== 'ask',
          onBytes: inSteps(size, report),
        },
      )
      .catch((error: unknown) => {
        throw wrongBytes(missingBlobError(error));
      });
    if (from !== undefined) ledger.recordMount(host, outcome === 'mounted');
    ledger.note(host, repository, digest, { source: this.#source, anonymous: outcome === 'uploaded' && anonymous });
    return { outcome, proven: true };
  }

  #mountableFrom(digest: string): string | undefined {
    const { source, target, ledger } = this.#options;
    const sameRegistry = source.client.host === target.client.host;
    const from = sameRegistry
      ? source.reference.repository
      : ledger.mountableFrom(target.client.host, digest, this.#source);
    return from === target.reference.repository ? undefined : from;
  }
}

function inSteps(size: number, report: ReportBlob): (total: number) => void {
  let reported = 0;
  return (total) => {
    if (total < reported) reported = 0;
    if (total - reported < PROGRESS_STEP_BYTES && total !== size) return;
    reported = total;
    report('running', total);
  };
}

/** The source has the manifest, so the image's name is right: its registry has lost a blob. */
function missingBlobError(error: unknown): unknown {
  // The failure of another blob ends this one with the same error.
  if (!(error instanceof RegistryError) || error.kind !== 'absent' || error.advised) return error;
  const advice = 'the source has the manifest of the image and not this blob: push the image again there';
  return error.as({ kind: 'absent', advice });
}

/**
 * Makes an error about wrong bytes permanent: another try costs the size of the blob, and most likely gets the same
 * bytes.
 */
function wrongBytes(error: unknown): unknown {
  if (!(error instanceof RegistryError) || !(error.cause instanceof ContentMismatchError)) return error;
  const { kind, host, cause } = error;
  return new RegistryError(cause.message, { kind, host, retryable: false, cause });
}
