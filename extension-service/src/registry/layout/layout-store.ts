import { DIGEST_TAG } from '../../core/image/digest-tag.js';
import { isDigest } from '../../core/image/reference.js';
import type { BlobStream } from '../blob-source.js';
import type { ManifestHead, ReferrersPage, UploadOptions } from '../client.js';
import type { ImageStore } from '../image-store.js';
import { InvalidManifestError, mediaTypeOf, parseManifest } from '../manifest.js';
import type { ParsedManifest, RawManifest } from '../manifest.js';
import { fallbackTag } from '../referrers-list.js';
import type { Descriptor } from '../types.js';
import { BlobFiles } from './blob-files.js';
import { LayoutIndex } from './layout-index.js';

/**
 * An OCI image layout on disk with the interface of a registry. Repositories are `HOST/REPOSITORY` of the source; the
 * names in `index.json` are full references, so that one layout holds images of many registries. Manifests with a
 * `subject` are listed there without a name, as ORAS does.
 */
export class LayoutStore implements ImageStore {
  readonly keepsTagCase = true;
  /** Descriptors by the digest that they refer to. */
  #referrers: Promise<Map<string, Descriptor[]>> | undefined;

  private constructor(
    readonly host: string,
    private readonly files: BlobFiles,
    private readonly index: LayoutIndex,
    private readonly end: 'source' | 'target',
  ) {}

  /** For reading. @throws RegistryError if the folder is not an OCI image layout */
  static async read(folder: string): Promise<LayoutStore> {
    const host = hostOf(folder);
    const files = new BlobFiles(folder, host);
    return new LayoutStore(host, files, await LayoutIndex.read(folder, files), 'source');
  }

  /** For writing: an empty or new folder becomes a layout; files of an interrupted run are removed. */
  static async open(folder: string): Promise<LayoutStore> {
    const host = hostOf(folder);
    const files = new BlobFiles(folder, host);
    return new LayoutStore(host, files, await LayoutIndex.open(folder, files), 'target');
  }

  /** The names of `index.json`. */
  get names(): readonly string[] {
    return this.index.entries.flatMap(({ name }) => name ?? []);
  }

  /** Digests of unnamed manifests that refer to nothing: images without a known target name. */
  async unnamedImages(): Promise<readonly string[]> {
    const listed = new Set([...(await this.#subjects()).values()].flat().map(({ digest }) => digest));
    const digests = this.index.entries
      .filter(({ name }) => name === undefined)
      .map(({ descriptor }) => descriptor.digest);
    return digests.filter((digest) => !listed.has(digest));
  }

  async headManifest(repository: string, reference: string): Promise<ManifestHead | undefined> {
    const descriptor = this.#find(repository, reference);
    // If a source lacks a manifest that it lists, the read that follows fails; a target receives it.
    if (descriptor !== undefined && this.end === 'source') return descriptor;
    const digest = descriptor?.digest ?? (isDigest(reference) ? reference : undefined);
    if (digest === undefined || !(await this.files.has(digest))) return undefined;
    const { mediaType, bytes } = await this.#manifest(digest, descriptor?.mediaType);
    return { digest, mediaType, size: bytes.length };
  }

  async getManifest(repository: string, reference: string): Promise<RawManifest> {
    const descriptor = this.#find(repository, reference);
    if (descriptor !== undefined) return this.#manifest(descriptor.digest, descriptor.mediaType);
    if (reference.includes(':')) return this.#manifest(reference, undefined);
    throw this.files.error(`index.json does not name ${nameOf(repository, reference)}`, 'absent');
  }

  async putManifest(
    repository: string,
    reference: string,
    manifest: RawManifest,
  ): Promise<{ readonly subjectKept: boolean }> {
    const { mediaType, digest, bytes } = manifest;
    await this.files.writeBytes(digest, bytes);
    const descriptor: Descriptor = { mediaType, digest, size: bytes.length };
    const parsed = parseManifest(manifest);
    if (parsed.subject !== undefined) {
      const listed = referrerOf(descriptor, parsed);
      await this.index.addUnnamed(listed);
      add(await this.#subjects(), parsed.subject, listed);
    }
    if (!isDigest(reference)) await this.index.setName(nameOf(repository, reference), descriptor);
    return { subjectKept: true };
  }

  /** By `subject`; regclient's layouts store the list under the fallback tag, without a repository. */
  async getReferrers(repository: string, digest: string): Promise<ReferrersPage> {
    if (this.#find(repository, fallbackTag(digest)) !== undefined) return { kind: 'none' };
    return { kind: 'page', descriptors: (await this.#subjects()).get(digest) ?? [], bytes: 0 };
  }

  async headBlob(_repository: string, { digest }: Pick<Descriptor, 'digest'>): Promise<boolean> {
    return this.files.has(digest);
  }

  async canReadBlob(_repository: string, { digest }: Descriptor): Promise<boolean> {
    return this.files.has(digest);
  }

  async getBlob(_repository: string, descriptor: Descriptor): Promise<BlobStream> {
    return this.files.open(descriptor);
  }

  async uploadBlob(
    _repository: string,
    descriptor: Descriptor,
    open: () => Promise<BlobStream>,
    options: UploadOptions = {},
  ): Promise<'mounted' | 'uploaded'> {
    if (await this.files.has(descriptor.digest)) return 'mounted';
    await this.files.write(descriptor, open, options);
    return 'uploaded';
  }

  /** All repositories share blobs, so a repository without a name does not prove anything. */
  isRepositoryUnknown(): Promise<boolean> {
    return Promise.resolve(false);
  }

  #find(repository: string, reference: string): Descriptor | undefined {
    const name = nameOf(repository, reference);
    // go-containerregistry's name for Docker Hub.
    const named = this.index.find(name) ?? this.index.find(name.replace(/^docker\.io\//, 'index.docker.io/'));
    return named ?? (DIGEST_TAG.test(reference) ? this.index.find(reference) : undefined);
  }

  async #manifest(digest: string, stated: string | undefined): Promise<RawManifest> {
    const bytes = await this.files.read(digest);
    try {
      return { mediaType: mediaTypeOf(stated === '' ? undefined : stated, bytes), digest, bytes };
    } catch (error) {
      if (error instanceof InvalidManifestError) throw this.files.error(`${digest}: ${error.message}`);
      throw error;
    }
  }

  #subjects(): Promise<Map<string, Descriptor[]>> {
    this.#referrers ??= this.#readSubjects();
    return this.#referrers;
  }

  async #readSubjects(): Promise<Map<string, Descriptor[]>> {
    const subjects = new Map<string, Descriptor[]>();
    for (const { descriptor } of this.index.entries) {
      const parsed = await this.#tryParse(descriptor);
      if (parsed?.subject !== undefined) add(subjects, parsed.subject, referrerOf(descriptor, parsed));
    }
    return subjects;
  }

  /** Undefined for an unreadable entry; the image that needs it reports the error. */
  async #tryParse({ digest, mediaType }: Descriptor): Promise<ParsedManifest | undefined> {
    try {
      return parseManifest(await this.#manifest(digest, mediaType));
    } catch {
      return undefined;
    }
  }
}

/** The entry for a list of referrers: type and annotations are the manifest's. */
function referrerOf(
  { mediaType, digest, size }: Descriptor,
  { artifactType, annotations }: Pick<ParsedManifest, 'artifactType' | 'annotations'>,
): Descriptor {
  return {
    ...{ mediaType, digest, size },
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations !== undefined && { annotations }),
  };
}

/** The name of a layout in errors. */
function hostOf(folder: string): string {
  return `layout ${folder}`;
}

/** `reference` is a tag, or the part after the repository in a reference: `:1.27`, `@sha256:…`, `:1.27@sha256:…`. */
function nameOf(repository: string, reference: string): string {
  return /^[:@]/.test(reference) ? `${repository}${reference}` : `${repository}:${reference}`;
}

function add(subjects: Map<string, Descriptor[]>, subject: string, descriptor: Descriptor): void {
  const known = subjects.get(subject) ?? [];
  if (known.some(({ digest }) => digest === descriptor.digest)) return;
  subjects.set(subject, [...known, descriptor]);
}
