import { referenceName } from '../core/image/reference.js';
import { ReferrerCopy } from './copy-referrers.js';
import { DEFAULT_COPY_LIMITS, type CopyOptions, type CopyResult } from './copy-types.js';
import { TreeCopy } from './copy-tree.js';
import { RegistryError } from './errors.js';
import { holdText } from './held-tags.js';
import { selectionKey } from './complete-images.js';
import { BlobLedger } from './ledger.js';
import { isBlobEntry, type ParsedManifest, type RawManifest } from './manifest.js';
import { findRoot, type RootPresence } from './presence.js';
import { namedPlatforms, selectPlatforms, withoutEntries } from './platforms.js';
import { PublishedTag } from './published-tag.js';
import { redactSecrets } from './sent-secrets.js';

export type {
  BlobCount,
  BlobOutcome,
  CopyLimits,
  CopyOptions,
  CopyProgress,
  CopyResult,
  PresenceCheck,
} from './copy-types.js';

/** Maximum warnings of one copy to report; a hostile image may cause thousands. */
const MAX_WARNINGS = 20;

/**
 * Copies an image with everything that belongs to it. Content that the target already has is not sent again. The target
 * is checked first. A tag of the source is resolved once, by HEAD (which Docker Hub does not count as a pull), then
 * read by digest, so that a tag that moves in the meantime cannot mix two images. Blobs come before their manifest,
 * manifests before their index, the tag last: a copy that fails at any point leaves no tag behind.
 *
 * Rejects with a RegistryError whose `host` is the registry at fault, or with the reason of the abort.
 */
export async function copyImage(options: CopyOptions): Promise<CopyResult> {
  return runCopy(options, (copy) => copy.run());
}

/**
 * Checks an image that the target has under its name, as `presence` says, and copies missing parts. The source's tag is
 * not compared; if nothing is missing, the source is only queried for the list of referrers.
 *
 * @param digest the target's digest under the name
 */
export async function checkImage(options: CopyOptions, digest: string): Promise<CopyResult> {
  return runCopy(options, (copy) => copy.check(digest));
}

async function runCopy(options: CopyOptions, run: (copy: ImageCopy) => Promise<CopyResult>): Promise<CopyResult> {
  const limits = { ...DEFAULT_COPY_LIMITS, ...options.limits };
  const ledger = options.ledger ?? new BlobLedger();
  const tree = new TreeCopy(options, limits, ledger);
  try {
    return await run(new ImageCopy(options, tree, ledger));
  } catch (error) {
    tree.stop(error);
    // The registry did not cause the failure of an aborted request.
    options.signal?.throwIfAborted();
    throw error;
  }
}

/** A manifest with its parsed content. */
interface Read {
  readonly manifest: RawManifest;
  readonly parsed: ParsedManifest;
}

/** The source's tag does not refer to the image any more that it had before; `top` is its image now. */
class MovedTagError extends Error {
  override readonly name = 'MovedTagError';

  constructor(readonly top: Read) {
    super('the tag has moved');
  }
}

interface CopiedRoot {
  readonly digest: string;
  readonly mediaType: string;
  readonly outcome: CopyResult['outcome'];
}

class ImageCopy {
  readonly #options: CopyOptions;
  readonly #tree: TreeCopy;
  readonly #ledger: BlobLedger;
  readonly #referrers: ReferrerCopy;
  readonly #published: PublishedTag;
  readonly #warnings: string[] = [];
  /** Set for an index that may be copied without some of its platforms. */
  #selection: string | undefined;

  constructor(options: CopyOptions, tree: TreeCopy, ledger: BlobLedger) {
    this.#options = options;
    this.#tree = tree;
    this.#ledger = ledger;
    this.#referrers = new ReferrerCopy(options, tree, ledger);
    this.#published = new PublishedTag(options, tree, ledger);
  }

  async run(): Promise<CopyResult> {
    const { source } = this.#options;
    const { repository, digest } = source.reference;
    this.#published.rejectFoldedTag();
    const name = referenceName(source.reference);
    const head = digest ?? (await this.#headSource(repository, name));
    try {
      return await this.#runFrom(
        head,
        once(() => (digest === undefined ? this.#readTagged(repository, name, head) : this.#readPinned(digest))),
      );
    } catch (error) {
      if (!(error instanceof MovedTagError)) throw error;
      const { top } = error;
      return this.#runFrom(
        top.manifest.digest,
        once(() => Promise.resolve(top)),
      );
    }
  }

  async #runFrom(head: string | undefined, top: () => Promise<Read>): Promise<CopyResult> {
    const { source, platforms = 'all' } = this.#options;
    const { digest } = source.reference;
    const sourceDigest = head ?? (await top()).manifest.digest;
    if (digest !== undefined || platforms === 'all')
      return this.#copyOnce(sourceDigest, sourceDigest, top, async () => this.#copy(await top(), false));
    const { selections } = this.#ledger;
    const key = (this.#selection = selectionKey(sourceDigest, platforms));
    const wanted = once(async () => this.#filter(await top(), platforms));
    const wantedDigest = selections.get(key) ?? (await wanted()).manifest.digest;
    const result = await this.#copyOnce(wantedDigest, sourceDigest, wanted, async () =>
      this.#copy(await wanted(), true),
    );
    selections.set(key, result.digest);
    return result;
  }

  async #read(repository: string, reference: string): Promise<Read> {
    const manifest = await this.#options.source.client.getManifest(repository, reference, this.#tree.sourceContext);
    return { manifest, parsed: this.#tree.parse(manifest) };
  }

  /**
   * Reads the image of a tag by the digest that HEAD has reported. If the source does not have that digest, the tag is
   * read itself: some proxies know only the digests that were requested by tag, and a tag may have moved.
   */
  async #readTagged(repository: string, tag: string, head: string | undefined): Promise<Read> {
    if (head === undefined) return this.#read(repository, tag);
    try {
      return await this.#read(repository, head);
    } catch (error) {
      if (!(error instanceof RegistryError) || error.kind !== 'absent') throw error;
      const top = await this.#read(repository, tag);
      if (top.manifest.digest === head) return top;
      throw new MovedTagError(top);
    }
  }

  /**
   * Reads an image by its digest. If the source does not have it, its tag is read, if the reference has one: ECR's
   * pull-through cache only imports images that are requested by tag (aws/containers-roadmap#2837).
   */
  async #readPinned(digest: string): Promise<Read> {
    const { repository, tag } = this.#options.source.reference;
    try {
      return await this.#read(repository, digest);
    } catch (error) {
      if (tag === undefined || !(error instanceof RegistryError) || error.kind !== 'absent') throw error;
      const top = await this.#read(repository, tag).catch((failure: unknown) => {
        throw failure instanceof RegistryError ? error : failure;
      });
      if (top.manifest.digest !== digest) throw error;
      return top;
    }
  }

  async check(digest: string): Promise<CopyResult> {
    const { presence = 'name' } = this.#options;
    if (presence === 'name') {
      await this.#presentReferrers(digest, digest);
      return this.#result({ digest, mediaType: '', outcome: 'present' }, digest);
    }
    const walked = await this.#ledger.once(this.#key(digest), this.#tree.signal, () =>
      this.#walk(digest, digest, 'published'),
    );
    if (walked === 'unreadable') return this.run();
    return this.#result(walked ?? { digest, mediaType: '', outcome: 'present' }, digest);
  }

  /**
   * Copies unless the target has the digest, or another copy is pushing it there under another name: a second tag of an
   * image would read all its manifests again, and registries count that.
   */
  async #copyOnce(
    digest: string,
    sourceDigest: string,
    read: () => Promise<Read>,
    copy: () => Promise<CopiedRoot>,
  ): Promise<CopyResult> {
    const { force, presence = 'name' } = this.#options;
    for (let others = 0; ; others += 1) {
      const root: RootPresence =
        force !== true || others > 0 ? await this.#findRoot(digest, others) : { state: 'absent', isNamed: false };
      if (root.state !== 'published') {
        await this.#options.admit?.(sourceDigest, async () => namedPlatforms((await read()).parsed));
      }
      let bring = copy;
      if (root.state !== 'absent') {
        if (others > 0 || presence === 'name' || this.#wasRecentlyCompared(digest, sourceDigest))
          return this.#present(digest, sourceDigest, root);
        bring = async () => {
          const walked = await this.#walk(digest, sourceDigest, root.state);
          return walked === 'unreadable' ? copy() : walked;
        };
      }
      const copied = await this.#ledger.once(this.#key(digest), this.#tree.signal, bring);
      if (copied !== undefined) return this.#result(copied, sourceDigest);
    }
  }

  async #findRoot(digest: string, others: number): Promise<RootPresence> {
    const { client, reference, isUnnamed } = this.#options.target;
    // The caller checked before another copy ended, so its answer is out of date.
    const target = { client, reference, ...(others === 0 && isUnnamed === true && { isUnnamed }) };
    return findRoot(target, digest, this.#tree.targetContext, this.#ledger.newRepositories);
  }

  /** Whether the image was copied to the target's repository, or found complete there, recently. */
  #wasRecentlyCompared(digest: string, sourceDigest: string): boolean {
    const { client, reference } = this.#options.target;
    const { presence, presentReferrers = 'top' } = this.#options;
    if (presence !== 'tree' && presence !== 'due') return false;
    const { repository } = reference;
    if (this.#ledger.newRepositories.kept(client.host, repository, digest) !== undefined) return true;
    // Referrers of each platform are looked up where its manifest is read.
    if (presentReferrers !== 'top') return false;
    if (this.#ledger.wasFound(client.host, repository, digest)) return true;
    return presence === 'due' && this.#isFresh(digest, sourceDigest);
  }

  /** Whether an earlier run found the image complete, and knows which referrers it copied. */
  #isFresh(digest: string, sourceDigest: string): boolean {
    const key = this.#referrers.key(digest);
    if (this.#ledger.complete?.isFresh(key) !== true) return false;
    if (this.#options.referrers !== true || digest !== sourceDigest) return true;
    return this.#ledger.referrers.get(key)?.fingerprint !== undefined;
  }

  /** Stores the result for later runs. */
  #noteComplete(digest: string): void {
    const { complete } = this.#ledger;
    const isPartial = this.#selection === undefined && this.#tree.missing.attestations.size > 0;
    if (isPartial || this.#referrers.unfinished.length > 0) complete?.markUncertain(this.#referrers.key(digest));
    else complete?.note(this.#referrers.key(digest), this.#selection);
  }

  #key(digest: string): string {
    const { client, reference } = this.#options.target;
    return `image ${client.host}/${reference.repository}@${digest}`;
  }

  async #copy(wanted: Read, filtered: boolean): Promise<CopiedRoot> {
    if (this.#options.immutable === true) await this.#published.rejectMovedTag(wanted.manifest.digest);
    await this.#copyContent(wanted);
    const { manifest, parsed } = filtered ? this.#withoutMissing(wanted) : wanted;
    if (this.#options.referrers === true) {
      // Before the tag: signatures must be in the target as soon as the image is.
      const { subjects } = this.#tree;
      subjects.delete(wanted.manifest.digest);
      const { mediaType, digest, bytes } = manifest;
      await this.#referrers.copyAll(digest, [{ mediaType, digest, size: bytes.length }, ...subjects.values()]);
      this.#holdForSignatures(digest);
    }
    await this.#publish({ manifest, parsed });
    this.#noteComplete(manifest.digest);
    return { digest: manifest.digest, mediaType: manifest.mediaType, outcome: 'copied' };
  }

  /** Meanwhile queries the source for the referrers of what the top manifest lists. */
  async #copyContent({ manifest, parsed }: Read): Promise<void> {
    const content = this.#tree.copyContent(manifest, parsed);
    if (this.#options.referrers === true) {
      const children = parsed.kind === 'index' ? parsed.children.filter((child) => !isBlobEntry(child)) : [];
      this.#referrers.lookUp([manifest.digest, ...children.map(({ digest }) => digest)]);
    }
    try {
      await content;
      this.#tree.refuseIncomplete();
    } catch (error) {
      this.#tree.stop(error);
      await this.#referrers.lookedUp();
      throw error;
    }
  }

  /** An index that is rewritten anyway omits the attestations that the source has lost. */
  #withoutMissing(wanted: Read): Read {
    const { attestations } = this.#tree.missing;
    if (attestations.size === 0 || wanted.parsed.kind !== 'index') return wanted;
    const manifest = withoutEntries(wanted.manifest, wanted.parsed, attestations);
    return { manifest, parsed: this.#tree.parse(manifest) };
  }

  /** The image becomes visible without its signatures only after several tries. */
  #holdForSignatures(digest: string): void {
    const key = this.#key(digest);
    const [first] = this.#referrers.unfinished.filter(({ kind }) => kind === 'signature');
    if (first === undefined) return this.#ledger.held.release(key);
    const tries = this.#ledger.held.hold(key);
    if (tries === undefined) {
      this.#warnings.push('the image is published without some signatures, because reading them failed temporarily');
      return;
    }
    const { kind, host, retryAfter, message } = first.error;
    throw new RegistryError(
      `the tag is not published before its signatures are copied (${holdText(tries)}): ${first.what}: ${message}`,
      {
        kind,
        host,
        retryable: true,
        ...(retryAfter !== undefined && { retryAfter }),
      },
    );
  }

  /** The target has it; only the name, and what refers to it, may be missing. */
  async #present(
    digest: string,
    sourceDigest: string,
    root: Exclude<RootPresence, { state: 'absent' }>,
  ): Promise<CopyResult> {
    if (root.state === 'published') {
      await this.#presentReferrers(digest, sourceDigest);
      return this.#result({ digest, mediaType: root.mediaType, outcome: 'present' }, sourceDigest);
    }
    const { client, reference } = this.#options.target;
    const manifest =
      this.#ledger.newRepositories.kept(client.host, reference.repository, digest) ??
      (await client.getManifest(reference.repository, digest, this.#tree.targetContext));
    const read = { manifest, parsed: this.#tree.parse(manifest) };
    await this.#presentReferrers(digest, sourceDigest);
    await this.#publish(read);
    return this.#result({ digest, mediaType: manifest.mediaType, outcome: 'tagged' }, sourceDigest);
  }

  /** Checks everything below a top manifest that the target has, and copies missing parts. */
  async #walk(
    digest: string,
    sourceDigest: string,
    state: 'published' | 'untagged',
  ): Promise<CopiedRoot | 'unreadable'> {
    this.#tree.beginRepair();
    const { complete } = this.#ledger;
    // Runs without a memory do not audit: each would query the source for the referrers of every platform.
    const isAudit = this.#options.presence === 'due' && complete?.isKnown(this.#referrers.key(digest)) === true;
    complete?.markUncertain(this.#referrers.key(digest));
    const manifest = await this.#tree.readTarget(digest);
    if (manifest === undefined) return 'unreadable';
    const parsed = this.#tree.parse(manifest);
    const changed = await this.#tree.copyContent(manifest, parsed, 'target');
    this.#tree.refuseIncomplete();
    if (!changed) this.#tree.noteFound(digest);
    if (changed && this.#tree.repaired.length === 0) this.#tree.repaired.push(`content of ${digest}`);
    await this.#presentReferrers(digest, sourceDigest, isAudit ? 'all' : undefined);
    if (changed || state === 'untagged') await this.#publish({ manifest, parsed });
    this.#noteComplete(digest);
    const outcome = changed ? 'repaired' : state === 'untagged' ? 'tagged' : 'present';
    return { digest, mediaType: manifest.mediaType, outcome };
  }

  /** Nothing refers to an index that we created for `mirror.platforms`; something may refer to its children. */
  async #presentReferrers(
    digest: string,
    sourceDigest: string,
    wanted: CopyOptions['presentReferrers'] = this.#options.presentReferrers,
  ): Promise<void> {
    if (this.#options.referrers !== true) return;
    if (wanted !== 'all') {
      if (digest === sourceDigest) await this.#referrers.compareTop(digest);
      return;
    }
    const subjects = [...this.#tree.subjects.values()];
    await this.#referrers.copyAll(digest, subjects.length > 0 ? subjects : [{ digest, mediaType: '', size: 0 }]);
  }

  async #headSource(repository: string, tag: string): Promise<string | undefined> {
    const { client } = this.#options.source;
    const head = await client.headManifest(repository, tag, { ...this.#tree.sourceContext, isNeeded: true });
    if (head === undefined) {
      throw new RegistryError(`${repository}:${tag} does not exist`, {
        kind: 'absent',
        host: client.host,
        status: 404,
      });
    }
    return head.digest;
  }

  #filter(top: Read, platforms: readonly string[]): Read {
    if (top.parsed.kind === 'image') return top;
    const manifest = selectPlatforms(top.manifest, top.parsed, platforms);
    if (manifest === top.manifest) return top;
    if (manifest !== undefined) return { manifest, parsed: this.#tree.parse(manifest) };
    const { client, reference } = this.#options.source;
    const message = `${reference.repository} has none of the platforms ${platforms.join(', ')}`;
    throw new RegistryError(message, { kind: 'invalid', host: client.host });
  }

  /** Puts the top manifest under its name, which also makes its digest available. */
  async #publish({ manifest, parsed }: Read): Promise<void> {
    await this.#published.put(manifest, parsed);
    await this.#referrers.flush();
  }

  #result({ digest, mediaType, outcome }: CopiedRoot, sourceDigest: string): CopyResult {
    const { platforms, counts, manifestsPushed, requests, repaired, missing } = this.#tree;
    const warnings = [
      ...this.#warnings,
      ...missing.warnings(),
      ...this.#tree.warnings,
      ...this.#referrers.warnings,
      ...this.#referrers.unfinished.map(({ what, error }) => `${what}: ${error.message}; the service retries`),
    ].map(redactSecrets);
    const more = warnings.length - MAX_WARNINGS;
    return {
      digest,
      mediaType,
      sourceDigest,
      outcome,
      platforms,
      blobs: counts,
      manifestsPushed,
      requests,
      warnings: more > 0 ? [...warnings.slice(0, MAX_WARNINGS), `${more} more warnings`] : warnings,
      repaired,
      unfinished: this.#referrers.unfinished,
    };
  }
}

function once<T>(task: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= task());
}
