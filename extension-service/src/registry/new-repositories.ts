import { BoundedMap } from '../util/bounded-map.js';
import { RegistryError } from './errors.js';
import type { RawManifest } from './manifest.js';
import { untilAborted } from './transport/abort.js';
import type { RequestContext } from './types.js';

/** Maximum existing repositories to remember. */
const MAX_EXISTING = 20_000;
/** Maximum new repositories: each can hold some hundred KiB, and hostile Pods can name many. */
const MAX_NEW_REPOSITORIES = 200;
/** Maximum tags and digests of one new repository; beyond them it counts as an existing one. */
const MAX_REFERENCES = 1_000;
/** Maximum manifests of one new repository that are kept, for further tags of the same image. */
const MAX_KEPT_MANIFESTS = 4;
const MAX_KEPT_BYTES = 64 * 1024;
/** How long others are assumed not to write to a new repository; afterwards the registry is queried again. */
const MAX_AGE_MS = 600_000;

/** The part of a registry's client that is needed to find out whether a repository exists. */
export interface RepositoryClient {
  readonly host: string;
  isRepositoryUnknown(repository: string, context?: RequestContext): Promise<boolean>;
}

interface NewRepository {
  /** Milliseconds since the epoch. */
  readonly since: number;
  /** Tags, and digests of manifests and blobs, that this process has pushed there. */
  readonly references: Set<string>;
  /** Top manifests by digest. */
  readonly manifests: BoundedMap<string, RawManifest>;
}

/**
 * Repositories of targets that did not exist at the first check: they contain exactly what this process pushed, so no
 * request is needed to find that out. If another process also pushed, some bytes are sent twice.
 */
export class NewRepositories {
  readonly #new = new BoundedMap<string, NewRepository>(MAX_NEW_REPOSITORIES);
  readonly #existing = new BoundedMap<string, true>(MAX_EXISTING);
  readonly #questions = new Map<string, Promise<void>>();

  /** @param now milliseconds since the epoch */
  constructor(private readonly now: () => number) {}

  /** Checks at the registry once per repository whether it exists; an unclear answer means that it does. */
  async learn(client: RepositoryClient, repository: string, context: RequestContext): Promise<void> {
    const key = `${client.host}/${repository}`;
    if (this.#existing.has(key) || this.#current(key) !== undefined) return;
    // Copies of other tags check at the same time.
    const question = this.#questions.get(key) ?? this.#ask(key, client, repository, context);
    this.#questions.set(key, question);
    const answered = question
      // The end of another copy does not end ours: the next request checks again.
      .catch(() => context.signal?.throwIfAborted())
      .finally(() => this.#questions.delete(key));
    await (context.signal === undefined ? answered : untilAborted(answered, context.signal));
  }

  /** Whether the repository has a tag, manifest or blob; undefined if only the registry knows. */
  has(host: string, repository: string, reference: string): boolean | undefined {
    return this.#current(`${host}/${repository}`)?.references.has(reference);
  }

  /** Records a tag or digest that was pushed to a repository. */
  add(host: string, repository: string, reference: string): void {
    const key = `${host}/${repository}`;
    const references = this.#current(key)?.references.add(reference);
    if (references !== undefined && references.size > MAX_REFERENCES) this.#settle(key);
  }

  /** Keeps a top manifest that was pushed: a second tag of it then only needs a PUT. */
  keep(host: string, repository: string, manifest: RawManifest): void {
    const manifests = this.#current(`${host}/${repository}`)?.manifests;
    if (manifests === undefined || manifest.bytes.length > MAX_KEPT_BYTES) return;
    manifests.set(manifest.digest, manifest);
  }

  kept(host: string, repository: string, digest: string): RawManifest | undefined {
    return this.#current(`${host}/${repository}`)?.manifests.get(digest);
  }

  /** The registry lacks recorded content, so all records of the repository are discarded. */
  forget(host: string, repository: string): void {
    const key = `${host}/${repository}`;
    if (this.#new.has(key)) this.#settle(key);
  }

  /** Other processes also push to the repository, so only the registry knows what it has. */
  share(host: string, repository: string): void {
    this.#settle(`${host}/${repository}`);
  }

  async #ask(key: string, client: RepositoryClient, repository: string, context: RequestContext): Promise<void> {
    const isUnknown = await client.isRepositoryUnknown(repository, context).catch((error: unknown) => {
      if (error instanceof RegistryError) return false;
      throw error;
    });
    if (!isUnknown) return this.#settle(key);
    const manifests = new BoundedMap<string, RawManifest>(MAX_KEPT_MANIFESTS);
    this.#new.set(key, { since: this.now(), references: new Set(), manifests });
  }

  #current(key: string): NewRepository | undefined {
    const known = this.#new.get(key);
    if (known === undefined || this.now() - known.since < MAX_AGE_MS) return known;
    this.#settle(key);
    return undefined;
  }

  /** From now on it counts as an existing repository. */
  #settle(key: string): void {
    this.#new.delete(key);
    this.#existing.set(key, true);
  }
}
