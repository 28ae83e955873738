import { setMaxListeners } from 'node:events';
import { Readable } from 'node:stream';
import { formatPlatform } from '../core/image/platform.js';
import { quoteInput } from '../core/image/quote.js';
import type { BlobStream } from './blob-source.js';
import { BlobCopy, type BlobCheck, type CopiedBlob } from './blob-copy.js';
import { CopyBudget, CopyLimitError } from './copy-budget.js';
import type { BlobOutcome, CopyLimits, CopyOptions, CopyProgress } from './copy-types.js';
import { RegistryError } from './errors.js';
import type { BlobLedger } from './ledger.js';
import { Limiter } from './limiter.js';
import {
  InvalidManifestError,
  isBlobEntry,
  isForeign,
  isIndexType,
  parseManifest,
  type ParsedManifest,
  type RawManifest,
} from './manifest.js';
import { isMissingContent } from './manifest-refusal.js';
import { MissingChildren } from './missing-children.js';
import { UnlistedReferrers } from './unlisted-referrers.js';
import type { Descriptor, RequestContext } from './types.js';

/** Shared by an image and its referrers. */
interface Shared {
  readonly budget: CopyBudget;
  readonly blobs: Limiter;
  readonly manifests: Limiter;
  readonly unlisted: UnlistedReferrers;
  /** Whether the target claims to have the image, so that missing parts were lost. */
  isRepair: boolean;
  /** The target lacks a manifest and claims to have all of its blobs: its cache may be older than its garbage collection. */
  isCacheDoubtful: boolean;
}

/** Where a manifest was read: at the source, or in the target, which already has it. */
export type Place = 'source' | 'target';

/**
 * Copies manifests with everything that they refer to from one repository to another, each digest once, children first.
 */
export class TreeCopy {
  readonly #options: CopyOptions;
  readonly #limits: CopyLimits;
  readonly #ledger: BlobLedger;
  readonly #shared: Shared;
  readonly #blobs: BlobCopy;
  readonly #seen = new Map<string, Promise<boolean>>();
  /** Manifests that the source's own indexes refer to, but that the source does not have. */
  readonly #gone = new Set<string>();
  /** Manifests that the target does not accept, whatever they refer to. */
  readonly #rejections = new Map<string, RegistryError>();
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
  readonly warnings: string[] = [];
  /** Missing parts below a manifest that the target had; for messages. */
  readonly repaired: string[] = [];
  /** Every manifest that was visited, by digest: each may have referrers. */
  readonly subjects = new Map<string, Descriptor>();
  readonly missing: MissingChildren;
  manifestsPushed = 0;

  constructor(options: CopyOptions, limits: CopyLimits, ledger: BlobLedger, shared?: Shared) {
    this.#options = options;
    this.#limits = limits;
    this.#ledger = ledger;
    this.#shared = shared ?? {
      budget: new CopyBudget(limits),
      blobs: new Limiter(limits.parallelBlobs),
      manifests: new Limiter(limits.parallelBlobs),
      unlisted: new UnlistedReferrers(),
      isRepair: false,
      isCacheDoubtful: false,
    };
    this.signal =
      options.signal === undefined ? this.#stop.signal : AbortSignal.any([options.signal, this.#stop.signal]);
    // Each request of the copy listens to it.
    setMaxListeners(0, this.signal, this.#stop.signal);
    this.sourceContext = { signal: this.signal, onRequest: () => this.requests.source++ };
    this.targetContext = { signal: this.signal, onRequest: () => this.requests.target++, willPush: true };
    const { sourceContext, targetContext, signal } = this;
    this.#blobs = new BlobCopy({ ...options, ledger, signal, sourceContext, targetContext });
    this.missing = new MissingChildren(options.platforms ?? 'all');
  }

  /** From now on, missing parts of the target count as repaired. */
  beginRepair(): void {
    this.#shared.isRepair = true;
  }

  get budget(): CopyBudget {
    return this.#shared.budget;
  }

  get unlisted(): UnlistedReferrers {
    return this.#shared.unlisted;
  }

  /** Parses, with errors that name the registry and the image, and counts the manifest in the budget. */
  parse(manifest: RawManifest): ParsedManifest {
    try {
      const parsed = parseManifest(manifest);
      const descriptors = parsed.kind === 'index' ? parsed.children.length : parsed.blobs.length;
      this.budget.takeManifest(manifest.bytes.length, descriptors);
      return parsed;
    } catch (error) {
      if (error instanceof InvalidManifestError) throw this.#invalid(`${manifest.digest}: ${error.message}`, error);
      throw this.#limited(error);
    }
  }

  /**
   * Copies everything under `parsed`, so that the target accepts the manifest itself; for a manifest that is in the
   * target, only the missing parts.
   * @returns whether anything had to be sent
   */
  async copyContent(
    manifest: RawManifest,
    parsed: ParsedManifest,
    place: Place = 'source',
    ancestors: readonly string[] = [],
  ): Promise<boolean> {
    const { mediaType, digest, bytes } = manifest;
    this.subjects.set(digest, { mediaType, digest, size: bytes.length });
    if (parsed.kind === 'image') return this.#copyBlobs(parsed.blobs, place);
    const path = [...ancestors, digest];
    if (path.length > this.#limits.depth)
      throw this.#invalid(`indexes are nested more than ${this.#limits.depth} levels deep`);
    const blobs = parsed.children.filter(isBlobEntry);
    const children = parsed.children.filter((child) => !isBlobEntry(child));
    try {
      this.budget.checkChildren(children.length);
    } catch (error) {
      throw this.#limited(error);
    }
    const changed = await this.#all([
      ...children.map((child) => () => this.#copyChild(child, path)),
      // An index of blobs: BuildKit's registry cache without image-manifest=true.
      ...(blobs.length === 0 ? [] : [() => this.#copyBlobs(blobs, place)]),
    ]);
    return changed.includes(true);
  }

  /** Copies one manifest by digest, with everything under it. @returns whether anything had to be sent */
  async copyManifest(descriptor: Descriptor, ancestors: readonly string[] = []): Promise<boolean> {
    if (ancestors.includes(descriptor.digest)) throw this.#invalid(`index ${descriptor.digest} contains itself`);
    const { platform } = descriptor;
    if (platform !== undefined && platform.os !== 'unknown')
      this.platforms[formatPlatform(platform)] = descriptor.digest;
    let copy = this.#seen.get(descriptor.digest);
    if (copy === undefined) {
      copy = this.#copyManifest(descriptor, ancestors);
      this.#seen.set(descriptor.digest, copy);
    }
    return copy;
  }

  /** A manifest that the target has and returns with the right bytes. */
  async readTarget(digest: string): Promise<RawManifest | undefined> {
    const { client, reference } = this.#options.target;
    try {
      return await client.getManifest(reference.repository, digest, this.targetContext);
    } catch (error) {
      if (error instanceof RegistryError && (error.kind === 'absent' || error.kind === 'invalid')) return undefined;
      throw error;
    }
  }

  /** Puts a manifest whose content exists. */
  async put(manifest: RawManifest, parsed: ParsedManifest, reference: string): Promise<void> {
    const { client, reference: target } = this.#options.target;
    const put = (): ReturnType<typeof client.putManifest> =>
      client.putManifest(target.repository, reference, manifest, this.targetContext);
    const answer = await put()
      .catch(async (error: unknown) => {
        if (!isMissingContent(error)) throw error;
        this.#ledger.newRepositories.forget(client.host, target.repository);
        if (parsed.kind !== 'image') throw error;
        if (await this.#sendAgain(parsed.blobs, 'read')) return put();
        return put().catch((again: unknown) => this.#putAfterSending(again, parsed.blobs, put));
      })
      .catch((error: unknown) => {
        throw this.#sparseIndexError(error);
      });
    if (this.#shared.isCacheDoubtful) await this.#proveStored(manifest, put);
    this.manifestsPushed++;
    this.#ledger.newRepositories.add(client.host, target.repository, manifest.digest);
    if (!answer.subjectKept && parsed.subject !== undefined) this.unlisted.add(parsed.subject, manifest, parsed);
  }

  /**
   * Some registries return a blob, and still reject the manifest because they cannot find the blob (Artifactory, gardener/
   * cc-utils#1761): all blobs are sent.
   */
  async #putAfterSending<T>(error: unknown, blobs: readonly Descriptor[], put: () => Promise<T>): Promise<T> {
    if (!isMissingContent(error) || blobs.some(isForeign)) throw error;
    await this.#sendAgain(blobs, 'send');
    return put();
  }

  /**
   * distribution 2.8 does not write a manifest that its cache knows from before a garbage collection, and answers 201. A
   * blob with the same bytes is written.
   */
  async #proveStored(manifest: RawManifest, put: () => Promise<unknown>): Promise<void> {
    if ((await this.readTarget(manifest.digest)) !== undefined) return;
    const { client, reference } = this.#options.target;
    const { mediaType, digest, bytes } = manifest;
    const stream = (): Promise<BlobStream> =>
      Promise.resolve({ host: client.host, stream: Readable.from([bytes]), skip: 0, whole: true, resume: stream });
    await client.uploadBlob(
      reference.repository,
      { mediaType, digest, size: bytes.length },
      stream,
      this.targetContext,
    );
    await put();
    if ((await this.readTarget(digest)) !== undefined) return;
    const text = `${reference.repository}: the registry does not store the manifest ${digest}: restart it after its garbage collection`;
    throw new RegistryError(text, { kind: 'server', host: client.host });
  }

  /** A parallel copy whose failure does not affect this one; it ends with this one, and shares its budget. */
  branch(): TreeCopy {
    return new TreeCopy({ ...this.#options, signal: this.signal }, this.#limits, this.#ledger, this.#shared);
  }

  /** Adds what a branch did to the counts. */
  addCounts(branch: TreeCopy): void {
    for (const outcome of ['uploaded', 'mounted', 'present'] as const) {
      this.counts[outcome].count += branch.counts[outcome].count;
      this.counts[outcome].bytes += branch.counts[outcome].bytes;
    }
    this.requests.source += branch.requests.source;
    this.requests.target += branch.requests.target;
    this.manifestsPushed += branch.manifestsPushed;
    this.warnings.push(...branch.warnings);
    this.repaired.push(...branch.repaired);
  }

  /** An index without one of its platforms is not put, because Pods of that platform would use it. */
  refuseIncomplete(): void {
    const problem = this.missing.problem(Object.entries(this.platforms));
    if (problem !== undefined) throw this.#invalid(problem);
  }

  /** Stops everything that is still running, after the copy has failed. */
  stop(reason: unknown): void {
    this.#stop.abort(reason);
  }

  /** A manifest is in the target with everything under it. */
  noteFound(digest: string): void {
    const { client, reference } = this.#options.target;
    this.#ledger.noteFound(client.host, reference.repository, digest);
  }

  get #walks(): boolean {
    return (this.#options.presence ?? 'name') !== 'name';
  }

  /**
   * A child that the source no longer has, and an attestation that the target does not accept, are recorded. The other
   * children are still copied.
   */
  async #copyChild(child: Descriptor, path: readonly string[]): Promise<boolean> {
    try {
      return await this.copyManifest(child, path);
    } catch (error) {
      const rejection = this.#rejections.get(child.digest);
      if (rejection !== undefined && rejection === error && this.missing.addRejected(child, rejection.responseText))
        return false;
      if (!this.#gone.has(child.digest) || !(error instanceof RegistryError) || error.kind !== 'absent') throw error;
      this.missing.add(child);
      return false;
    }
  }

  async #copyManifest(descriptor: Descriptor, ancestors: readonly string[]): Promise<boolean> {
    const { digest, size } = descriptor;
    const report = this.#reporter('manifest', descriptor);
    const found = await this.#manifests(() => this.#find(descriptor));
    this.subjects.set(digest, descriptor);
    if (found === 'present') {
      report('present', size);
      return false;
    }
    const { manifest, place } = found;
    this.#compare(manifest, descriptor);
    const parsed = this.parse(manifest);
    const changed = await this.copyContent(manifest, parsed, place, ancestors);
    if (place === 'target' && !changed) {
      this.noteFound(digest);
      report('present', size);
      return false;
    }
    if (this.#shared.isRepair) this.repaired.push(place === 'target' ? `content of ${digest}` : `manifest ${digest}`);
    this.refuseIncomplete();
    try {
      await this.#manifests(() => this.put(manifest, parsed, digest));
    } catch (error) {
      if (isRejection(error)) this.#rejections.set(digest, error);
      throw error;
    }
    report('done', size);
    return true;
  }

  /** Reads the manifest in the target if it exists and its parts are checked, else at the source. */
  async #find(descriptor: Descriptor): Promise<'present' | { readonly manifest: RawManifest; readonly place: Place }> {
    const { source } = this.#options;
    const { digest } = descriptor;
    const there = await this.#findInTarget(descriptor);
    if (there === 'present') return there;
    if (there !== undefined) return { manifest: there, place: 'target' };
    try {
      const context = { ...this.sourceContext, isListed: true };
      const manifest = await source.client.getManifest(source.reference.repository, digest, context);
      return { manifest, place: 'source' };
    } catch (error) {
      if (error instanceof RegistryError && error.kind === 'absent') this.#gone.add(digest);
      throw error;
    }
  }

  async #findInTarget({ digest, mediaType }: Descriptor): Promise<'present' | RawManifest | undefined> {
    const { target, force } = this.#options;
    if (force === true) return undefined;
    const { newRepositories } = this.#ledger;
    if (
      (this.#options.presence === 'tree' || this.#options.presence === 'due') &&
      this.#ledger.wasFound(target.client.host, target.reference.repository, digest)
    )
      return 'present';
    if (newRepositories.has(target.client.host, target.reference.repository, digest) === false) return undefined;
    const walks = this.#walks || isIndexType(mediaType);
    // Below an existing image, GET finds almost everything. Below a new one, its answers are errors with a body each.
    if (!walks || !this.#shared.isRepair) {
      const head = await target.client.headManifest(target.reference.repository, digest, this.targetContext);
      if (head === undefined) return undefined;
      if (!walks) return 'present';
    }
    return this.readTarget(digest);
  }

  /** Digest and size decide; registries and runtimes tolerate a different media type. */
  #compare(manifest: RawManifest, { digest, size, mediaType }: Descriptor): void {
    if (manifest.bytes.length !== size) {
      throw this.#invalid(`${digest} has ${manifest.bytes.length} bytes, but its index says ${size}`);
    }
    if (mediaType === '' || manifest.mediaType === mediaType) return;
    this.warnings.push(`${digest} is ${quoteInput(manifest.mediaType)}, but its index says ${quoteInput(mediaType)}`);
  }

  /** @returns whether any had to be sent */
  async #copyBlobs(descriptors: readonly Descriptor[], place: Place): Promise<boolean> {
    const blobs = ownBlobs(descriptors);
    try {
      this.budget.takeBlobs(blobs.reduce((sum, blob) => sum + blob.size, 0));
    } catch (error) {
      throw this.#limited(error);
    }
    const isForced = this.#options.force === true || this.#options.presence === 'bytes';
    const copied = await this.#all(blobs.map((blob) => () => this.#copyBlob(blob, isForced ? 'read' : 'ask')));
    const isDoubtful = place === 'source' && copied.every(({ outcome, proven }) => outcome === 'present' && !proven);
    if (isDoubtful) this.#shared.isCacheDoubtful = true;
    const certain = isDoubtful ? await this.#all(blobs.map((blob) => () => this.#verifyReadable(blob))) : copied;
    blobs.forEach((blob, index) => this.#count(blob, certain[index]?.outcome ?? 'present'));
    return certain.some(({ outcome }) => outcome !== 'present');
  }

  /**
   * The manifest is missing but all its blobs seem to exist: registries answer so after their garbage collection, from
   * a cache (distribution with `cache: blobdescriptor: inmemory`).
   */
  async #verifyReadable(blob: Descriptor): Promise<CopiedBlob> {
    const readable = await this.#blobSlot(() => this.#blobs.isReadable(blob));
    if (readable) return { outcome: 'present', proven: true };
    this.repaired.push(`blob ${blob.digest}, whose content the registry had lost`);
    return this.#copyBlob(blob, 'send');
  }

  /**
   * The target reports missing blobs that it had, or that were sent: with `read`, each is checked, and sent if the target
   * does not return it.
   *
   * @returns whether any was sent
   */
  async #sendAgain(descriptors: readonly Descriptor[], check: 'read' | 'send'): Promise<boolean> {
    const blobs = ownBlobs(descriptors);
    const sent = await this.#all(
      blobs.map((blob) => async () => {
        const { outcome } = await this.#copyBlob(blob, check);
        if (outcome !== 'present') this.repaired.push(`blob ${blob.digest}, which the registry had lost`);
        return outcome !== 'present';
      }),
    );
    return sent.includes(true);
  }

  async #copyBlob(blob: Descriptor, check: BlobCheck): Promise<CopiedBlob> {
    const report = this.#reporter('blob', blob);
    report('waiting', 0);
    return this.#blobSlot(() => this.#blobs.copy(blob, check, report));
  }

  /** A slot of this copy, then one of all copies. */
  #blobSlot<T>(task: () => Promise<T>): Promise<T> {
    const { blobs } = this.#options;
    const { signal } = this;
    return this.#shared.blobs.run(() => (blobs === undefined ? task() : blobs.run(task, signal)), signal);
  }

  #count(blob: Descriptor, outcome: BlobOutcome): void {
    this.counts[outcome].count++;
    this.counts[outcome].bytes += blob.size;
    this.#reporter('blob', blob)(outcome === 'uploaded' ? 'done' : outcome, blob.size);
  }

  #manifests<T>(task: () => Promise<T>): Promise<T> {
    return this.#shared.manifests.run(task, this.signal);
  }

  /** All in parallel (limiters apply); the first failure stops the others, and is thrown once they have ended. */
  async #all<T>(tasks: readonly (() => Promise<T>)[]): Promise<T[]> {
    let failure: { readonly error: unknown } | undefined;
    const results: T[] = [];
    await Promise.all(
      tasks.map((task, index) =>
        task().then(
          (result) => (results[index] = result),
          (error: unknown) => {
            failure ??= { error };
            this.stop(error);
          },
        ),
      ),
    );
    if (failure !== undefined) throw failure.error;
    return results;
  }

  /** Registries such as distribution reject an index with a missing child. */
  #sparseIndexError(error: unknown): unknown {
    const problem = this.missing.refusal();
    if (problem === undefined || !(error instanceof RegistryError)) return error;
    if (error.kind !== 'invalid' && error.kind !== 'missing') return error;
    return this.#invalid(`${problem} (${error.message})`, error);
  }

  #reporter(kind: CopyProgress['kind'], descriptor: Descriptor): Report {
    const { onProgress } = this.#options;
    return (state, transferred) => onProgress?.({ kind, descriptor, state, transferred, total: descriptor.size });
  }

  #limited(error: unknown): unknown {
    return error instanceof CopyLimitError ? this.#invalid(error.message, error) : error;
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

/** Alibaba's and Huawei's registries reject attestations of BuildKit, whose config is the empty one. */
function isRejection(error: unknown): error is RegistryError {
  if (!(error instanceof RegistryError) || error.status === undefined || error.retryable) return false;
  return error.kind === 'unsupported' || error.kind === 'invalid';
}

/** The blobs that a registry stores, each once. */
function ownBlobs(descriptors: readonly Descriptor[]): readonly Descriptor[] {
  const own = descriptors.filter((blob) => !isForeign(blob));
  return [...new Map(own.map((blob) => [blob.digest, blob])).values()];
}

type Report = (state: CopyProgress['state'], transferred: number) => void;
