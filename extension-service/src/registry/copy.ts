import { referenceName } from '../core/image/reference.js';
import { RegistryError } from './errors.js';
import { DEFAULT_COPY_LIMITS, type CopyOptions, type CopyResult } from './copy-types.js';
import { copyReferrers } from './copy-referrers.js';
import { TreeCopy } from './copy-tree.js';
import { BlobLedger } from './ledger.js';
import type { RawManifest } from './manifest.js';
import { findRoot } from './presence.js';
import { selectPlatforms } from './platforms.js';

export type { BlobCount, BlobOutcome, CopyLimits, CopyOptions, CopyProgress, CopyResult } from './copy-types.js';

/**
 * Copies an image with all that belongs to it. What the target has is not sent again: the target is asked first, and a
 * tag of the source is resolved once, by HEAD (which Docker Hub does not count as a pull), then read by digest, so that a
 * tag that moves meanwhile cannot mix two images. Blobs come before their manifest, manifests before their index, the tag
 * last: a copy that fails at any point leaves no tag behind.
 *
 * Rejects with a RegistryError whose `host` is the registry at fault, or with the reason of the abort.
 */
export async function copyImage(options: CopyOptions): Promise<CopyResult> {
  const limits = { ...DEFAULT_COPY_LIMITS, ...options.limits };
  const ledger = options.ledger ?? new BlobLedger();
  const tree = new TreeCopy(options, limits, ledger);
  try {
    return await new ImageCopy(options, tree, ledger).run();
  } catch (error) {
    tree.stop(error);
    // What the abort broke off is not the registry's doing.
    options.signal?.throwIfAborted();
    throw error;
  }
}

class ImageCopy {
  readonly #options: CopyOptions;
  readonly #tree: TreeCopy;
  readonly #ledger: BlobLedger;
  readonly #warnings: string[] = [];

  constructor(options: CopyOptions, tree: TreeCopy, ledger: BlobLedger) {
    this.#options = options;
    this.#tree = tree;
    this.#ledger = ledger;
  }

  async run(): Promise<CopyResult> {
    const { source, platforms = 'all' } = this.#options;
    const { repository, digest } = source.reference;
    const name = referenceName(source.reference);
    const filtered = digest === undefined && platforms !== 'all';
    const head = digest ?? (await this.#headSource(repository, name));
    const read = (): Promise<RawManifest> =>
      source.client.getManifest(repository, head ?? name, this.#tree.sourceContext);
    if (head !== undefined && !filtered) return this.#once(head, head, async () => this.#copy(await read()));
    const top = await read();
    const wanted = filtered ? this.#filter(top, platforms) : top;
    return this.#once(wanted.digest, top.digest, () => this.#copy(wanted));
  }

  /**
   * Copies unless the target has the digest, or somebody is bringing it there under another name: a second tag of an image
   * would read all its manifests again, and registries count that.
   */
  async #once(digest: string, sourceDigest: string, copy: () => Promise<RawManifest>): Promise<CopyResult> {
    const { target, force } = this.#options;
    const key = `image ${target.client.host}/${target.reference.repository}@${digest}`;
    for (let others = 0; ; others += 1) {
      if (force !== true || others > 0) {
        const done = await this.#alreadyThere(digest);
        if (done !== undefined) return this.#result(done, sourceDigest, done.outcome);
      }
      const copied = await this.#ledger.once(key, this.#tree.signal, copy);
      if (copied !== undefined) return this.#result(copied, sourceDigest, 'copied');
    }
  }

  async #copy(wanted: RawManifest): Promise<RawManifest> {
    if (this.#options.immutable === true) await this.#refuseMovedTag(wanted.digest);
    const parsed = this.#tree.parse(wanted);
    await this.#tree.copyContent(wanted, parsed);
    if (this.#options.referrers === true) {
      // Before the tag: whoever verifies signatures in the target must find them as soon as the image.
      const children = parsed.kind === 'index' ? parsed.children : [];
      const subjects = [{ mediaType: wanted.mediaType, digest: wanted.digest, size: wanted.bytes.length }, ...children];
      this.#warnings.push(...(await copyReferrers(this.#options, this.#tree, subjects)));
    }
    await this.#name(wanted);
    return wanted;
  }

  async #headSource(repository: string, tag: string): Promise<string | undefined> {
    const { client } = this.#options.source;
    const head = await client.headManifest(repository, tag, this.#tree.sourceContext);
    if (head === undefined) {
      throw new RegistryError(`${repository}:${tag} does not exist there`, {
        kind: 'absent',
        host: client.host,
        status: 404,
      });
    }
    return head.digest;
  }

  /** Looks into the target; when it has the digest and only the name is missing, gives it the name. */
  async #alreadyThere(
    digest: string,
  ): Promise<
    { readonly digest: string; readonly mediaType: string; readonly outcome: 'present' | 'tagged' } | undefined
  > {
    const { client, reference } = this.#options.target;
    const context = this.#tree.targetContext;
    const root = await findRoot(this.#options.target, digest, context);
    if (root.state === 'absent') return undefined;
    if (root.state === 'published') return { digest, mediaType: root.mediaType, outcome: 'present' };
    const manifest = await client.getManifest(reference.repository, digest, context);
    await this.#name(manifest);
    return { digest, mediaType: manifest.mediaType, outcome: 'tagged' };
  }

  async #refuseMovedTag(digest: string): Promise<void> {
    const { client, reference } = this.#options.target;
    const name = reference.published;
    const there = await client.headManifest(reference.repository, name, this.#tree.targetContext);
    if (there?.digest === undefined || there.digest === digest) return;
    const message =
      `${reference.repository}:${name} is immutable and holds ${there.digest}, and the source's tag is now ${digest}: ` +
      'pin the image by digest, give it another tag, or make the repository mutable';
    throw new RegistryError(message, { kind: 'conflict', host: client.host });
  }

  #filter(top: RawManifest, platforms: readonly string[]): RawManifest {
    const parsed = this.#tree.parse(top);
    if (parsed.kind === 'image') return top;
    const selected = selectPlatforms(top, parsed, platforms);
    if (selected !== undefined) return selected;
    const { client, reference } = this.#options.source;
    const message = `${reference.repository} has none of the platforms ${platforms.join(', ')}`;
    throw new RegistryError(message, { kind: 'invalid', host: client.host });
  }

  /** Puts the top manifest under its name; its digest comes with that. */
  async #name(manifest: RawManifest): Promise<void> {
    const { client, reference } = this.#options.target;
    if (reference.digest !== undefined && reference.digest !== manifest.digest) {
      const message = `the source's image is ${manifest.digest}, the target's reference names ${reference.digest}`;
      throw new RegistryError(message, { kind: 'conflict', host: client.host });
    }
    try {
      await this.#tree.put(manifest, reference.published);
    } catch (error) {
      if (!(error instanceof RegistryError) || error.kind !== 'conflict') throw error;
      // An immutable tag that holds this very image (someone else was faster) is what we wanted.
      const head = await client.headManifest(reference.repository, reference.published, this.#tree.targetContext);
      if (head?.digest !== manifest.digest) throw error;
    }
  }

  #result(
    manifest: { readonly digest: string; readonly mediaType: string },
    sourceDigest: string,
    outcome: CopyResult['outcome'],
  ): CopyResult {
    const { platforms, counts, manifestsPushed, requests } = this.#tree;
    const { digest, mediaType } = manifest;
    return {
      digest,
      mediaType,
      sourceDigest,
      outcome,
      platforms,
      blobs: counts,
      manifestsPushed,
      requests,
      warnings: this.#warnings,
    };
  }
}
