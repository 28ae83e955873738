import type { CopyOptions } from './copy-types.js';
import type { TreeCopy } from './copy-tree.js';
import { RegistryError } from './errors.js';
import type { BlobLedger } from './ledger.js';
import type { ParsedManifest, RawManifest } from './manifest.js';
import { foldedTagText, hasCapitals } from './tag-case.js';

/** The tag that makes an image visible in the target. */
export class PublishedTag {
  readonly #options: CopyOptions;
  readonly #tree: TreeCopy;
  readonly #ledger: BlobLedger;

  constructor(options: CopyOptions, tree: TreeCopy, ledger: BlobLedger) {
    this.#options = options;
    this.#tree = tree;
    this.#ledger = ledger;
  }

  /** Throws if the tag has capitals and the target is known to fold them. */
  rejectFoldedTag(): void {
    const { client, reference } = this.#options.target;
    if (!hasCapitals(reference.published) || this.#ledger.tagCase.known(client.host) !== true) return;
    throw this.#foldedTagError();
  }

  /** Throws if the tag is immutable and points to another image. */
  async rejectMovedTag(digest: string): Promise<void> {
    const { client, reference } = this.#options.target;
    const name = reference.published;
    const there = await client.headManifest(reference.repository, name, this.#tree.targetContext);
    if (there?.digest === undefined || there.digest === digest) return;
    const message =
      `${reference.repository}:${name} is immutable and refers to ${there.digest}, but the source's tag is now ${digest}: ` +
      'pin the image by digest, use another tag, or make the repository mutable';
    throw new RegistryError(message, { kind: 'conflict', host: client.host });
  }

  /** Puts the manifest, whose content exists, under the tag, which also makes its digest available. */
  async put(manifest: RawManifest, parsed: ParsedManifest): Promise<void> {
    const { client, reference } = this.#options.target;
    const { repository, digest, published } = reference;
    if (digest !== undefined && digest !== manifest.digest) {
      const message = `the source's image is ${manifest.digest}, but the target's reference is ${digest}`;
      throw new RegistryError(message, { kind: 'conflict', host: client.host });
    }
    await this.#detectTagCase(manifest, parsed);
    await this.#tree.put(manifest, parsed, published);
    this.#ledger.newRepositories.add(client.host, repository, published);
    this.#ledger.newRepositories.keep(client.host, repository, manifest);
    // A registry computes sha256 for content that it receives by tag: another digest only resolves if it was put by
    // that digest.
    if (digest?.startsWith('sha256:') === false) await this.#tree.put(manifest, parsed, digest);
  }

  /**
   * Before the first tag with capitals is put in a target: a harmless tag that we put shows whether the target keeps
   * the case of tags.
   */
  async #detectTagCase(manifest: RawManifest, parsed: ParsedManifest): Promise<void> {
    const { client, reference } = this.#options.target;
    const { tagCase } = this.#ledger;
    if (client.keepsTagCase === true || !hasCapitals(reference.published)) return;
    if (tagCase.known(client.host) === undefined) {
      const tag = `keep-${manifest.digest.slice(manifest.digest.indexOf(':') + 1).slice(0, 12)}`;
      await this.#tree.put(manifest, parsed, tag);
      const existing = { tag, digest: manifest.digest };
      await tagCase.ignoresCase(client, reference.repository, existing, this.#tree.targetContext);
    }
    this.rejectFoldedTag();
  }

  #foldedTagError(): RegistryError {
    const { client, reference } = this.#options.target;
    const text = foldedTagText(reference.repository, reference.published);
    return new RegistryError(text, { kind: 'refused', host: client.host });
  }
}
