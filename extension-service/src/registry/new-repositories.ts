import { RegistryError } from './errors.js';
import type { RawManifest } from './manifest.js';
import type { RequestContext } from './types.js';

/** Repositories that are remembered, new and existing ones. */
const MAX_KNOWN = 20_000;
/** Tags and digests of one new repository; beyond them it counts as an existing one. */
const MAX_REFERENCES = 10_000;
/** Manifests of one new repository that are kept, for further tags of the same image. */
const MAX_KEPT_MANIFESTS = 4;
const MAX_KEPT_BYTES = 64 * 1024;
/** How long others are assumed to leave a new repository alone; afterwards the registry is asked again. */
const MAX_AGE_MS = 600_000;

/** The part of a registry's client that is needed to find out whether a repository exists. */
export interface RepositoryClient {
  readonly host: string;
  isRepositoryUnknown(repository: string, context?: RequestContext): Promise<boolean>;
}

interface NewRepository {
  /** Milliseconds since the epoch. */
  readonly since: number;
  /** Tags, and digests of manifests and blobs, that this process has brought there. */
  readonly references: Set<string>;
  /** Top manifests by digest, the newest last. */
  readonly manifests: Map<string, RawManifest>;
}

/**
 * Repositories of targets that did not exist when they were asked for: what they hold is what this process brought, so no
 * request has to find it out. When something else brought more, only bytes are sent twice.
 */
export class NewRepositories {
  readonly #known = new Map<string, NewRepository | 'existing'>();
  readonly #questions = new Map<string, Promise<void>>();

  /** @param now milliseconds since the epoch */
  constructor(private readonly now: () => number) {}

  /** Asks the registry once per repository whether it exists; an answer that is not clear means that it does. */
  async learn(client: RepositoryClient, repository: string, context: RequestContext): Promise<void> {
    const key = `${client.host}/${repository}`;
    if (this.#known.has(key)) return;
    // Copies of other tags ask at the same time.
    const question = this.#questions.get(key) ?? this.#ask(key, client, repository, context);
    this.#questions.set(key, question);
    await question
      // Another copy's end is not ours: the registry is asked again.
      .catch(() => context.signal?.throwIfAborted())
      .finally(() => this.#questions.delete(key));
  }

  /** Whether the repository has a tag, manifest or blob; undefined when only the registry knows. */
  has(host: string, repository: string, reference: string): boolean | undefined {
    return this.#new(`${host}/${repository}`)?.references.has(reference);
  }

  /** Notes a tag or digest that was brought to a repository. */
  add(host: string, repository: string, reference: string): void {
    const key = `${host}/${repository}`;
    const references = this.#new(key)?.references.add(reference);
    if (references !== undefined && references.size > MAX_REFERENCES) this.#known.set(key, 'existing');
  }

  /** Keeps a top manifest that was brought: a second tag of it then needs no request but its PUT. */
  keep(host: string, repository: string, manifest: RawManifest): void {
    const manifests = this.#new(`${host}/${repository}`)?.manifests;
    if (manifests === undefined || manifest.bytes.length > MAX_KEPT_BYTES) return;
    manifests.set(manifest.digest, manifest);
    const [oldest] = manifests.keys();
    if (manifests.size > MAX_KEPT_MANIFESTS && oldest !== undefined) manifests.delete(oldest);
  }

  kept(host: string, repository: string, digest: string): RawManifest | undefined {
    return this.#new(`${host}/${repository}`)?.manifests.get(digest);
  }

  /** The registry does not have what was noted: nothing that is noted about the repository counts any more. */
  forget(host: string, repository: string): void {
    const key = `${host}/${repository}`;
    if (this.#known.has(key)) this.#known.set(key, 'existing');
  }

  async #ask(key: string, client: RepositoryClient, repository: string, context: RequestContext): Promise<void> {
    const isUnknown = await client.isRepositoryUnknown(repository, context).catch((error: unknown) => {
      if (error instanceof RegistryError) return false;
      throw error;
    });
    this.#known.set(key, isUnknown ? { since: this.now(), references: new Set(), manifests: new Map() } : 'existing');
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
  }

  #new(key: string): NewRepository | undefined {
    const known = this.#known.get(key);
    if (known === undefined || known === 'existing') return undefined;
    if (this.now() - known.since < MAX_AGE_MS) return known;
    this.#known.set(key, 'existing');
    return undefined;
  }
}
