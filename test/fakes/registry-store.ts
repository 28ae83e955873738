import { sha256, sha512, type Content } from './registry-content.js';

export interface StoredManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly digest: string;
}

export interface ManifestJson {
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config?: DescriptorJson;
  readonly layers?: readonly DescriptorJson[];
  /** Of an artifact manifest. */
  readonly blobs?: readonly DescriptorJson[];
  readonly manifests?: readonly DescriptorJson[];
  readonly subject?: DescriptorJson;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface DescriptorJson {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly urls?: readonly string[];
}

interface Repository {
  readonly blobs: Set<string>;
  readonly manifests: Map<string, StoredManifest>;
  readonly tags: Map<string, string>;
}

export type PutManifestResult =
  | { readonly ok: true; readonly digest: string; readonly subject?: string }
  | { readonly ok: false; readonly status: number; readonly code: string; readonly message: string };

export interface StoreOptions {
  /** Whether tags are stored in lower case and found in any case. */
  readonly foldTags?: boolean;
  /** Whether the platforms of a deleted index are deleted, unless they have a tag or another index. */
  readonly deletesPlatforms?: boolean;
}

/**
 * The content of the registry. Blobs are shared between repositories, as in a real registry, but each repository shows
 * only its own.
 */
export class RegistryStore {
  readonly #repositories = new Map<string, Repository>();
  readonly #blobs = new Map<string, Content>();

  constructor(private readonly options: StoreOptions = {}) {}

  #tag(reference: string): string {
    return this.options.foldTags === true ? reference.toLowerCase() : reference;
  }

  repositories(): string[] {
    return [...this.#repositories.keys()].sort();
  }

  has(repository: string): boolean {
    return this.#repositories.has(repository);
  }

  create(repository: string): void {
    if (!this.#repositories.has(repository)) {
      this.#repositories.set(repository, { blobs: new Set(), manifests: new Map(), tags: new Map() });
    }
  }

  tags(repository: string): string[] {
    return [...(this.#repositories.get(repository)?.tags.keys() ?? [])].sort();
  }

  digests(repository: string): string[] {
    return [...(this.#repositories.get(repository)?.manifests.keys() ?? [])];
  }

  putBlob(repository: string, content: Content): void {
    this.create(repository);
    this.#blobs.set(content.digest, content);
    this.#repositories.get(repository)?.blobs.add(content.digest);
  }

  blob(repository: string, digest: string): Content | undefined {
    return this.#repositories.get(repository)?.blobs.has(digest) === true ? this.#blobs.get(digest) : undefined;
  }

  anyBlob(digest: string): Content | undefined {
    return this.#blobs.get(digest);
  }

  deleteBlob(repository: string, digest: string): boolean {
    return this.#repositories.get(repository)?.blobs.delete(digest) ?? false;
  }

  manifest(repository: string, reference: string): StoredManifest | undefined {
    const found = this.#repositories.get(repository);
    return found?.manifests.get(found.tags.get(this.#tag(reference)) ?? reference);
  }

  deleteManifest(repository: string, reference: string): boolean {
    const found = this.#repositories.get(repository);
    if (found === undefined) return false;
    if (!reference.includes(':')) return found.tags.delete(this.#tag(reference));
    for (const [tag, digest] of found.tags) if (digest === reference) found.tags.delete(tag);
    const before = found.manifests.get(reference);
    if (before === undefined) return false;
    found.manifests.delete(reference);
    if (this.options.deletesPlatforms === true) this.#deleteUnnamed(found, platformsOf(before));
    return true;
  }

  #deleteUnnamed({ manifests, tags }: Repository, digests: readonly string[]): void {
    if (digests.length === 0) return;
    const named = new Set([...tags.values(), ...[...manifests.values()].flatMap(platformsOf)]);
    for (const digest of digests) if (!named.has(digest)) manifests.delete(digest);
  }

  /** Stores bytes under a digest that may not match, as a lying registry does. */
  putManifestUnchecked(repository: string, reference: string, mediaType: string, bytes: Buffer, digest: string): void {
    this.create(repository);
    const found = this.#repositories.get(repository);
    found?.manifests.set(digest, { mediaType, bytes, digest });
    if (!reference.includes(':')) found?.tags.set(this.#tag(reference), digest);
  }

  /** Makes distribution's checks: the digest of the request, and everything that the manifest refers to. */
  putManifest(
    repository: string,
    reference: string,
    mediaType: string,
    bytes: Buffer,
    rules: { readonly immutableTags: boolean; readonly checkChildren: boolean },
  ): PutManifestResult {
    const digest = reference.startsWith('sha512:') ? sha512(bytes) : sha256(bytes);
    if (reference.includes(':') && reference !== digest) {
      return { ok: false, status: 400, code: 'DIGEST_INVALID', message: `the content is ${digest}` };
    }
    let json: ManifestJson;
    try {
      json = JSON.parse(bytes.toString('utf8')) as ManifestJson;
    } catch {
      return { ok: false, status: 400, code: 'MANIFEST_INVALID', message: 'not JSON' };
    }
    if (json.mediaType !== undefined && json.mediaType !== mediaType) {
      return {
        ok: false,
        status: 400,
        code: 'MANIFEST_INVALID',
        message: `mediaType ${json.mediaType} sent as ${mediaType}`,
      };
    }
    const found = this.#repositories.get(repository);
    const current = found?.tags.get(this.#tag(reference));
    if (rules.immutableTags && current !== undefined && current !== digest) {
      return { ok: false, status: 400, code: 'TAG_INVALID', message: `tag ${reference} is immutable` };
    }
    if (rules.checkChildren) {
      const missing = this.#missing(repository, json);
      if (missing !== undefined) return { ok: false, status: 404, code: 'MANIFEST_BLOB_UNKNOWN', message: missing };
    }
    this.putManifestUnchecked(repository, reference, mediaType, bytes, digest);
    return { ok: true, digest, ...(json.subject === undefined ? {} : { subject: json.subject.digest }) };
  }

  referrers(repository: string, subject: string): object[] {
    const manifests = this.#repositories.get(repository)?.manifests.values() ?? [];
    const found: object[] = [];
    for (const { bytes, digest, mediaType } of manifests) {
      const json = JSON.parse(bytes.toString('utf8')) as ManifestJson;
      if (json.subject?.digest !== subject) continue;
      const artifactType = json.artifactType ?? json.config?.mediaType;
      found.push({
        mediaType,
        digest,
        size: bytes.length,
        artifactType,
        ...(json.annotations && { annotations: json.annotations }),
      });
    }
    return found;
  }

  #missing(repository: string, json: ManifestJson): string | undefined {
    const found = this.#repositories.get(repository);
    const blobs = [...(json.config === undefined ? [] : [json.config]), ...(json.layers ?? []), ...(json.blobs ?? [])];
    const blob = blobs.find((d) => (d.urls ?? []).length === 0 && found?.blobs.has(d.digest) !== true);
    if (blob !== undefined) return `blob ${blob.digest} is not in ${repository}`;
    const child = (json.manifests ?? []).find((d) => found?.manifests.has(d.digest) !== true);
    return child === undefined ? undefined : `manifest ${child.digest} is not in ${repository}`;
  }
}

function platformsOf({ bytes }: StoredManifest): readonly string[] {
  return ((JSON.parse(bytes.toString('utf8')) as ManifestJson).manifests ?? []).map(({ digest }) => digest);
}
