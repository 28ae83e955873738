import { formatPlatform } from '../core/image/platform.js';
import { quoteInput } from '../core/image/quote.js';
import { RegistryError } from './errors.js';
import type { BlobOutcome, CopyLimits, CopyOptions, CopyProgress } from './copy-types.js';
import type { BlobLedger } from './ledger.js';
import { Limiter } from './limiter.js';
import { InvalidManifestError, isForeign, parseManifest, type ParsedManifest, type RawManifest } from './manifest.js';
import type { Descriptor, RequestContext } from './types.js';

/** Progress of a blob is reported at most once per so many bytes. */
const PROGRESS_STEP = 1024 * 1024;

/** Copies manifests with all that they refer to from one repository to another, each digest once, children first. */
export class TreeCopy {
  readonly #options: CopyOptions;
  readonly #limits: CopyLimits;
  readonly #ledger: BlobLedger;
  readonly #blobs: Limiter;
  readonly #manifests: Limiter;
  readonly #seen = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  readonly signal: AbortSignal;
  readonly sourceContext: RequestContext;
  readonly targetContext: RequestContext;
  readonly counts = {
    uploaded: { count: 0, bytes: 0 },
    mounted: { count: 0, bytes: 0 },
    present: { count: 0, bytes: 0 },
  };
  readonly requests = { source: 0, target: 0 };
  readonly platforms: Record<string, string> = {};
  manifestsPushed = 0;
  #manifestCount = 0;
  #manifestBytes = 0;
  #blobBytes = 0;

  constructor(options: CopyOptions, limits: CopyLimits, ledger: BlobLedger) {
    this.#options = options;
    this.#limits = limits;
    this.#ledger = ledger;
    this.#blobs = new Limiter(limits.parallelBlobs);
    this.#manifests = new Limiter(limits.parallelBlobs);
    this.signal =
      options.signal === undefined ? this.#stop.signal : AbortSignal.any([options.signal, this.#stop.signal]);
    this.sourceContext = { signal: this.signal, onRequest: () => this.requests.source++ };
    this.targetContext = { signal: this.signal, onRequest: () => this.requests.target++ };
  }

  /** Parses, with errors that name the registry and the image. */
  parse(manifest: RawManifest): ParsedManifest {
    try {
      return parseManifest(manifest);
    } catch (error) {
      if (error instanceof InvalidManifestError) throw this.#invalid(`${manifest.digest}: ${error.message}`, error);
      throw error;
    }
  }

  /** Copies everything under `parsed`, so that the target will take the manifest itself. */
  async copyContent(manifest: RawManifest, parsed: ParsedManifest, ancestors: readonly string[] = []): Promise<void> {
    this.#manifestCount++;
    this.#manifestBytes += manifest.bytes.length;
    if (this.#manifestBytes > this.#limits.manifestBytes) {
      throw this.#invalid(`the manifests are more than ${this.#limits.manifestBytes} bytes together`);
    }
    if (parsed.kind === 'image') {
      const blobs = new Map(parsed.blobs.filter((blob) => !isForeign(blob)).map((blob) => [blob.digest, blob]));
      for (const blob of blobs.values()) this.#blobBytes += blob.size;
      if (this.#blobBytes > this.#limits.blobBytes) {
        throw this.#invalid(`the blobs are more than ${this.#limits.blobBytes} bytes together`);
      }
      await this.#all([...blobs.values()].map((blob) => () => this.#copyBlob(blob)));
      return;
    }
    const path = [...ancestors, manifest.digest];
    if (path.length > this.#limits.depth)
      throw this.#invalid(`indexes are nested more than ${this.#limits.depth} deep`);
    if (this.#manifestCount + parsed.children.length > this.#limits.manifests) {
      throw this.#invalid(`the image has more than ${this.#limits.manifests} manifests`);
    }
    await this.#all(parsed.children.map((child) => () => this.copyManifest(child, path)));
  }

  /** Copies one manifest by digest, with everything under it. */
  async copyManifest(descriptor: Descriptor, ancestors: readonly string[] = []): Promise<void> {
    if (ancestors.includes(descriptor.digest)) throw this.#invalid(`index ${descriptor.digest} contains itself`);
    const { platform } = descriptor;
    if (platform !== undefined && platform.os !== 'unknown')
      this.platforms[formatPlatform(platform)] = descriptor.digest;
    let copy = this.#seen.get(descriptor.digest);
    if (copy === undefined) {
      copy = this.#copyManifest(descriptor, ancestors);
      this.#seen.set(descriptor.digest, copy);
    }
    await copy;
  }

  /** Puts a manifest whose content is there. True when the registry keeps the list of its subject's referrers. */
  async put(manifest: RawManifest, reference: string): Promise<boolean> {
    const { client, reference: target } = this.#options.target;
    const answer = await client.putManifest(target.repository, reference, manifest, this.targetContext);
    this.manifestsPushed++;
    return answer.subjectKept;
  }

  /** A copy beside this one whose failure leaves this one alone; it ends with this one. */
  branch(): TreeCopy {
    return new TreeCopy({ ...this.#options, signal: this.signal }, this.#limits, this.#ledger);
  }

  /** Adds what a branch did to the counts. */
  absorb(branch: TreeCopy): void {
    for (const outcome of ['uploaded', 'mounted', 'present'] as const) {
      this.counts[outcome].count += branch.counts[outcome].count;
      this.counts[outcome].bytes += branch.counts[outcome].bytes;
    }
    this.requests.source += branch.requests.source;
    this.requests.target += branch.requests.target;
    this.manifestsPushed += branch.manifestsPushed;
  }

  /** Ends what is still running; for when the copy has failed. */
  stop(reason: unknown): void {
    this.#stop.abort(reason);
  }

  async #copyManifest(descriptor: Descriptor, ancestors: readonly string[]): Promise<void> {
    const { source, target, force } = this.#options;
    const { digest, size } = descriptor;
    const report = this.#reporter('manifest', descriptor);
    const found = await this.#manifests.run(async () => {
      if (force !== true) {
        const head = await target.client.headManifest(target.reference.repository, digest, this.targetContext);
        if (head !== undefined) return undefined;
      }
      return source.client.getManifest(source.reference.repository, digest, this.sourceContext);
    });
    if (found === undefined) return report('present', size);
    if (found.bytes.length !== size) {
      throw this.#invalid(`${digest} has ${found.bytes.length} bytes, and its index says ${size}`);
    }
    if (descriptor.mediaType !== '' && found.mediaType !== descriptor.mediaType) {
      throw this.#invalid(
        `${digest} is ${quoteInput(found.mediaType)}, and its index says ${quoteInput(descriptor.mediaType)}`,
      );
    }
    await this.copyContent(found, this.parse(found), ancestors);
    await this.#manifests.run(() => this.put(found, digest));
    report('done', size);
  }

  async #copyBlob(descriptor: Descriptor): Promise<void> {
    const { target } = this.#options;
    const { digest } = descriptor;
    const { repository } = target.reference;
    const report = this.#reporter('blob', descriptor);
    report('waiting', 0);
    const outcome = await this.#blobs.run(() =>
      this.#ledger.once(`${target.client.host}/${repository}@${digest}`, this.signal, () =>
        this.#sendBlob(descriptor, report),
      ),
    );
    const final = outcome ?? 'present';
    this.#ledger.note(target.client.host, repository, digest);
    this.counts[final].count++;
    this.counts[final].bytes += descriptor.size;
    report(final === 'uploaded' ? 'done' : final, descriptor.size);
  }

  async #sendBlob(descriptor: Descriptor, report: Report): Promise<BlobOutcome> {
    const { source, target } = this.#options;
    const { repository } = target.reference;
    const { digest, size } = descriptor;
    if (await target.client.headBlob(repository, digest, this.targetContext)) return 'present';
    const sameRegistry = source.client.host === target.client.host;
    const known = sameRegistry ? source.reference.repository : this.#ledger.repositoryOf(target.client.host, digest);
    let reported = 0;
    return target.client.uploadBlob(
      repository,
      descriptor,
      () => source.client.getBlob(source.reference.repository, descriptor, this.sourceContext),
      {
        ...this.targetContext,
        ...(known !== undefined && known !== repository && { from: known }),
        onBytes: (total) => {
          if (total < reported) reported = 0;
          if (total - reported < PROGRESS_STEP && total !== size) return;
          reported = total;
          report('running', total);
        },
      },
    );
  }

  /** All at once (limiters apply); the first failure stops the others, and is thrown once they have ended. */
  async #all(tasks: readonly (() => Promise<void>)[]): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    await Promise.all(
      tasks.map((task) =>
        task().catch((error: unknown) => {
          failure ??= { error };
          this.stop(error);
        }),
      ),
    );
    if (failure !== undefined) throw failure.error;
  }

  #reporter(kind: CopyProgress['kind'], descriptor: Descriptor): Report {
    const { onProgress } = this.#options;
    return (state, transferred) => onProgress?.({ kind, descriptor, state, transferred, total: descriptor.size });
  }

  #invalid(message: string, cause?: unknown): RegistryError {
    const { client, reference } = this.#options.source;
    return new RegistryError(`${reference.repository}: ${message}`, {
      kind: 'invalid',
      host: client.host,
      ...(cause !== undefined && { cause }),
    });
  }
}

type Report = (state: CopyProgress['state'], transferred: number) => void;
