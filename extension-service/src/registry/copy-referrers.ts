import type { CopyOptions, UnfinishedReferrer } from './copy-types.js';
import type { TreeCopy } from './copy-tree.js';
import { fingerprintOf } from './copied-referrers.js';
import { RegistryError } from './errors.js';
import type { BlobLedger } from './ledger.js';
import { Limiter } from './limiter.js';
import { byImportance, referrerKind } from './referrer-kinds.js';
import { fallbackTag, listReferrers, type ReferrersList } from './referrers-list.js';
import type { ManifestHead } from './client.js';
import type { Descriptor } from './types.js';
import { extendFallbackTag } from './extend-fallback-tag.js';
import { messageOf } from '../util/message-of.js';

/** Suffixes of the tags in which cosign 2 stores what belongs to a digest; cosign 3 still verifies these. */
const DIGEST_TAGS = ['sig', 'att', 'sbom'] as const;
/** Maximum referrers of one digest to copy. */
const REFERRER_LIMIT = 100;
/** A signature on an SBOM is at depth 1, a signature on that one at depth 2. */
const MAX_DEPTH = 3;
/** Maximum subjects to check in parallel. */
const PARALLEL_SUBJECTS = 4;

/** The source's answers about a subject, in both forms. */
interface Lookup {
  readonly list: Promise<ReferrersList | undefined>;
  readonly tags: readonly DigestTag[];
}

interface DigestTag {
  readonly kind: (typeof DIGEST_TAGS)[number];
  readonly tag: string;
  readonly head: Promise<ManifestHead | undefined>;
}

/**
 * Copies the signatures, attestations and SBOMs of an image. cosign 3 (bundles, its default form), notation and ORAS
 * attach them by `subject`: the referrers API of distribution-spec 1.1 lists them, or its fallback tag `sha256-<hex>`.
 * cosign 2 stored them under the tags `sha256-<hex>.sig`, `.att` and `.sbom`. Every manifest of the tree may have them,
 * and referrers may have referrers. Nothing here makes the image fail: a permanent failure is a warning, a temporary
 * one is unfinished.
 */
export class ReferrerCopy {
  readonly warnings: string[] = [];
  readonly unfinished: UnfinishedReferrer[] = [];
  readonly #options: CopyOptions;
  readonly #tree: TreeCopy;
  readonly #ledger: BlobLedger;
  readonly #subjects = new Limiter(PARALLEL_SUBJECTS);
  readonly #seen = new Set<string>();
  readonly #lookups = new Map<string, Lookup>();

  constructor(options: CopyOptions, tree: TreeCopy, ledger: BlobLedger) {
    this.#options = options;
    this.#tree = tree;
    this.#ledger = ledger;
  }

  /** Queries the source while the content is copied: each query costs a round trip. */
  lookUp(digests: Iterable<string>): void {
    for (const digest of digests) this.#lookup(digest);
  }

  /** Resolves when no query of {@link lookUp} is running, whether it succeeded or not. */
  async lookedUp(): Promise<void> {
    const queries = [...this.#lookups.values()].flatMap(({ list, tags }) => [list, ...tags.map(({ head }) => head)]);
    await Promise.allSettled(queries);
  }

  /** Copies everything for every subject, in both forms. `top` is the image's own digest. */
  async copyAll(top: string, subjects: Iterable<Descriptor>): Promise<void> {
    let fingerprint: string | undefined;
    await Promise.all(
      [...subjects].map(async ({ digest }) => {
        const list = await this.#copySubject(digest, 0);
        if (digest === top && list !== undefined) fingerprint = fingerprintOf(list.descriptors);
      }),
    );
    await this.flush();
    this.#remember(top, fingerprint);
  }

  /**
   * Compares what refers to the image itself by `subject`; queries the target only if the source's list has changed.
   */
  async compareTop(top: string): Promise<void> {
    const key = `referrers ${this.key(top)}`;
    // Another tag of the image may be comparing them.
    if (!this.#ledger.wereCompared(this.key(top)))
      await this.#ledger.once(key, this.#tree.signal, () => this.#compare(top));
  }

  async #compare(top: string): Promise<void> {
    const list = await this.#list(top);
    if (list === undefined) return this.#remember(top, undefined);
    const fingerprint = fingerprintOf(list.descriptors);
    const known = this.#ledger.referrers.get(this.key(top));
    if (known?.fingerprint !== fingerprint) {
      await this.#copyListed(top, list, 0);
      await this.flush();
    }
    this.#remember(top, fingerprint);
  }

  /** Lists the referrers that the target accepted without listing them. */
  async flush(): Promise<void> {
    for (const [subject, added] of this.#tree.unlisted.take()) {
      await this.#continueOnFailure(`the referrers list of ${subject}`, 'signature', () =>
        extendFallbackTag(
          this.#options.target,
          subject,
          added,
          this.#ledger,
          this.#tree.signal,
          this.#tree.targetContext,
        ),
      );
    }
  }

  /** The ledger's key for the referrers of a digest. */
  key(digest: string): string {
    const { client, reference } = this.#options.target;
    return `${client.host}/${reference.repository}@${digest}`;
  }

  #remember(top: string, fingerprint: string | undefined): void {
    // A list that permanently fails is compared again after the interval, not at once.
    this.#ledger.noteReferrers(this.key(top), this.unfinished.length === 0 ? (fingerprint ?? '') : undefined);
  }

  /** @returns the source's list, if it could be read */
  async #copySubject(digest: string, depth: number): Promise<ReferrersList | undefined> {
    if (this.#seen.has(digest)) return undefined;
    this.#seen.add(digest);
    const { list: listed, tags } = this.#lookup(digest);
    const list = await listed;
    if (list !== undefined) await this.#copyListed(digest, list, depth);
    await Promise.all(
      tags.map(({ kind, tag, head }) =>
        this.#continueOnFailure(`tag ${tag}`, kind === 'sbom' ? 'sbom' : 'signature', async () =>
          this.#copyTag(tag, await head, depth),
        ),
      ),
    );
    this.#lookups.delete(digest);
    return list;
  }

  #lookup(digest: string): Lookup {
    const known = this.#lookups.get(digest);
    if (known !== undefined) return known;
    const { client, reference } = this.#options.source;
    const list = this.#subjects.run(() => this.#list(digest));
    const tags = DIGEST_TAGS.map((kind) => {
      const tag = `${fallbackTag(digest)}.${kind}`;
      const head = this.#subjects.run(() => client.headManifest(reference.repository, tag, this.#tree.sourceContext));
      return { kind, tag, head };
    });
    // The copy may fail before it looks at the answers.
    for (const query of [list, ...tags.map(({ head }) => head)]) query.catch(() => undefined);
    const lookup = { list, tags };
    this.#lookups.set(digest, lookup);
    return lookup;
  }

  async #list(digest: string): Promise<ReferrersList | undefined> {
    const { client, reference } = this.#options.source;
    const { budget, sourceContext } = this.#tree;
    return this.#continueOnFailure(`referrers of ${digest}`, 'signature', () =>
      listReferrers(client, reference.repository, digest, budget, sourceContext),
    );
  }

  async #copyListed(digest: string, list: ReferrersList, depth: number): Promise<void> {
    const { client, reference } = this.#options.target;
    if (list.refusal !== undefined && list.descriptors.length === 0) {
      this.warnings.push(`referrers of ${digest}: ${list.refusal.message}, and the fallback tag has no list`);
    }
    if (list.descriptors.length === 0) return;
    const wanted = this.#within(digest, list);
    const there = await this.#continueOnFailure(`referrers of ${digest} in the target`, 'signature', () =>
      listReferrers(client, reference.repository, digest, this.#tree.budget, this.#tree.targetContext),
    );
    const listed = new Set(there?.descriptors.map((descriptor) => descriptor.digest));
    const walks = (this.#options.presence ?? 'name') !== 'name' || this.#options.force === true;
    await Promise.all(
      wanted.map(async (descriptor) => {
        const isListed = listed.has(descriptor.digest);
        if (isListed && !walks) return;
        const copied = await this.#copyReferrer(descriptor, depth);
        if (copied && !isListed && there?.via === 'tag') this.#tree.unlisted.addDescriptor(digest, descriptor);
      }),
    );
  }

  /** All referrers, or only the most important ones if they exceed the limits; the rest is reported. */
  #within(digest: string, { descriptors, cut }: ReferrersList): readonly Descriptor[] {
    const wanted = byImportance(descriptors).slice(0, REFERRER_LIMIT);
    const taken = wanted.slice(0, this.#tree.budget.takeReferrers(wanted.length));
    const left = descriptors.length - taken.length;
    if (left > 0 || cut) {
      const more = cut ? `at least ${left + 1}` : String(left);
      this.warnings.push(
        `${more} referrers of ${digest} are not copied: the maximum is ${REFERRER_LIMIT} per digest, signatures and newest first`,
      );
    }
    return taken;
  }

  /** @returns whether the target has it */
  async #copyReferrer(descriptor: Descriptor, depth: number): Promise<boolean> {
    const own = this.#tree.branch();
    const done = await this.#continueOnFailure(`referrer ${descriptor.digest}`, referrerKind(descriptor), async () => {
      try {
        await own.copyManifest(descriptor);
        return true;
      } finally {
        this.#tree.addCounts(own);
      }
    });
    if (done === true) await this.#copyNested(own, depth);
    return done === true;
  }

  async #copyTag(tag: string, head: ManifestHead | undefined, depth: number): Promise<void> {
    const { source, target } = this.#options;
    if (head === undefined) return;
    const { repository } = target.reference;
    const walks = (this.#options.presence ?? 'name') !== 'name';
    if (head.digest !== undefined && !walks) {
      const there = await target.client.headManifest(repository, tag, this.#tree.targetContext);
      if (there?.digest === head.digest) return;
    }
    const own = this.#tree.branch();
    try {
      const reference = head.digest ?? tag;
      const manifest = await source.client
        .getManifest(source.reference.repository, reference, own.sourceContext)
        .catch((error: unknown) => {
          // Some registries answer 200 without a digest to every HEAD.
          if (head.digest === undefined && error instanceof RegistryError && error.kind === 'absent') return undefined;
          throw error;
        });
      if (manifest === undefined) return;
      const parsed = own.parse(manifest);
      await own.copyContent(manifest, parsed);
      const there = await target.client.headManifest(repository, tag, own.targetContext);
      if (there?.digest !== manifest.digest || own.repaired.length > 0) await own.put(manifest, parsed, tag);
    } finally {
      this.#tree.addCounts(own);
    }
    await this.#copyNested(own, depth);
  }

  /** Referrers of a referrer, such as a signature on an SBOM. */
  async #copyNested(own: TreeCopy, depth: number): Promise<void> {
    if (depth + 1 >= MAX_DEPTH) return;
    await Promise.all([...own.subjects.keys()].map((digest) => this.#copySubject(digest, depth + 1)));
  }

  /** Undefined if it failed, which is then a warning, or unfinished. */
  async #continueOnFailure<T>(
    what: string,
    kind: UnfinishedReferrer['kind'],
    task: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await task();
    } catch (error) {
      this.#tree.signal.throwIfAborted();
      if (error instanceof RegistryError && error.retryable) this.unfinished.push({ what, kind, error });
      else this.warnings.push(`${what}: ${messageOf(error)}`);
      return undefined;
    }
  }
}
