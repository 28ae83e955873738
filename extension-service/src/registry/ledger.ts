import { BoundedMap } from '../util/bounded-map.js';
import { CompleteImages } from './complete-images.js';
import type { CompleteImage, EarlierRuns } from './complete-images.js';
import { CopiedReferrers } from './copied-referrers.js';
import { HeldTags } from './held-tags.js';
import { KnownBlobs, type BlobOrigin } from './known-blobs.js';
import { NewRepositories } from './new-repositories.js';
import { TagCase } from './tag-case.js';
import { untilAborted } from './transport/abort.js';

const MAX_KNOWN = 20_000;
const MAX_REGISTRIES = 1_000;

export interface LedgerOptions {
  /**
   * Whether the process is one short run: it does not check again what it found in a target's repository.
   *
   * @default false
   */
  readonly isOneRun?: boolean;
  /** Results of earlier runs of the command. */
  readonly earlier?: EarlierRuns;
  /** @default none are known */
  readonly knownBlobs?: KnownBlobs;
}

/** A blob whose bytes a copy is sending to a registry. */
interface BlobSending {
  /** `host/repository` of the source. */
  readonly source: string;
  /** Its source required credentials. */
  isPrivate: boolean;
  /** Resolves when it is sent, or has failed. */
  sent: Promise<void>;
  /** Also resolves when it was read with credentials. */
  readonly decided: Promise<void>;
}

/** Coordinates the copies of one process: which one is sending an image or a blob, and where a blob already is. */
export class BlobLedger {
  readonly referrers: CopiedReferrers;
  readonly held: HeldTags;
  readonly newRepositories: NewRepositories;
  readonly tagCase = new TagCase();
  /** Undefined if runs do not remember each other. */
  readonly complete: CompleteImages | undefined;
  /** Digest of the index for a source's index and some of its platforms, by {@link selectionKey}. */
  readonly selections = new BoundedMap<string, string>(MAX_KNOWN);
  readonly #flights = new Map<string, Promise<unknown>>();
  readonly #blobs: KnownBlobs;
  /** Registries by whether their last mount succeeded. */
  readonly #mounting = new BoundedMap<string, boolean>(MAX_REGISTRIES);
  readonly #sending = new Map<string, BlobSending>();
  /** `host/repository@digest` of what was found in a target, and whose referrers were compared, in a single run. */
  readonly #found: BoundedMap<string, true> | undefined;

  /** @param now milliseconds since the epoch */
  constructor(
    now: () => number = Date.now,
    { isOneRun = false, earlier, knownBlobs = new KnownBlobs() }: LedgerOptions = {},
  ) {
    this.#blobs = knownBlobs;
    this.#found = isOneRun ? new BoundedMap(MAX_KNOWN) : undefined;
    this.referrers = new CopiedReferrers(now);
    this.held = new HeldTags(now);
    this.newRepositories = new NewRepositories(now);
    this.complete = earlier === undefined ? undefined : new CompleteImages(earlier, now);
    for (const { image, referrers, selection } of earlier?.images ?? []) {
      if (referrers !== undefined) this.referrers.set(image, referrers);
      if (selection !== undefined) this.selections.set(selection, image.slice(image.indexOf('@') + 1));
    }
  }

  /** Images for the memory of the next run. */
  completeImages(): readonly CompleteImage[] {
    return (this.complete?.all() ?? []).map(({ image, at, selection }) => {
      const referrers = this.referrers.get(image)?.fingerprint;
      return {
        image,
        at,
        ...(referrers !== undefined && { referrers }),
        ...(selection !== undefined && { selection }),
      };
    });
  }

  /**
   * Runs `send` unless another copy does so for the same key; then waits, and only tries itself if the other failed
   * (possibly by its own abort). Resolves with undefined if another copy did it.
   */
  async once<T>(key: string, signal: AbortSignal, send: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      signal.throwIfAborted();
      const other = this.#flights.get(key);
      if (other === undefined) break;
      const succeeded = other.then(
        () => true,
        () => false,
      );
      const done = await untilAborted(succeeded, signal);
      if (done) return undefined;
    }
    const flight = send();
    this.#flights.set(key, flight);
    try {
      return await flight;
    } finally {
      this.#flights.delete(key);
    }
  }

  /**
   * A repository of the registry from which to mount the blob for an image of `source`. A digest in a manifest does not
   * prove that its source has the bytes. A blob that another source only returned to credentials is therefore not
   * mounted: otherwise, knowing the digest of a private layer would be enough to get it.
   */
  mountableFrom(host: string, digest: string, source: string): string | undefined {
    const known = this.#blobs.get(host, digest);
    return known !== undefined && (known.anonymous || known.source === source) ? known.repository : undefined;
  }

  /** Whether to try a mount without a HEAD: a rejected mount would send bytes that may already exist. */
  mounts(host: string): boolean {
    return this.#mounting.get(host) === true;
  }

  recordMount(host: string, succeeded: boolean): void {
    this.#mounting.set(host, succeeded);
  }

  /**
   * Waits while another copy sends a blob to the registry, if it can be mounted afterwards for an image of `source`.
   * Rejects with the abort's reason.
   */
  async waitForBlob(host: string, digest: string, source: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      const sending = this.#sending.get(`${host} ${digest}`);
      if (sending === undefined || this.#mounting.get(host) === false) return;
      if (sending.source !== source && sending.isPrivate) return;
      await untilAborted(sending.source === source ? sending.sent : sending.decided, signal);
    }
  }

  /**
   * Sends a blob to a registry. `send` calls its argument if the source requires credentials: copies of other sources
   * then no longer wait, because they may not mount the blob.
   */
  async sendBlob<T>(
    host: string,
    digest: string,
    source: string,
    send: (requiredCredentials: () => void) => Promise<T>,
  ): Promise<T> {
    const key = `${host} ${digest}`;
    let decide = (): void => undefined;
    const decided = new Promise<void>((resolve) => (decide = resolve));
    const sending: BlobSending = { source, isPrivate: false, decided, sent: decided };
    const work = send(() => {
      sending.isPrivate = true;
      decide();
    });
    sending.sent = work.then(
      () => undefined,
      () => undefined,
    );
    if (!this.#sending.has(key)) this.#sending.set(key, sending);
    try {
      return await work;
    } finally {
      if (this.#sending.get(key) === sending) this.#sending.delete(key);
      decide();
    }
  }

  note(host: string, repository: string, digest: string, origin: BlobOrigin): void {
    this.newRepositories.add(host, repository, digest);
    const known = this.#blobs.get(host, digest);
    // A repository that everyone may mount from serves more copies than this one.
    if (known?.anonymous !== true || origin.anonymous) this.#blobs.set(host, digest, { repository, ...origin });
  }

  /** Whether this run has found a blob in a repository, or a manifest with everything under it. */
  wasFound(host: string, repository: string, digest: string): boolean {
    return this.#found?.has(`${host}/${repository}@${digest}`) === true;
  }

  /** Whether this run has compared the referrers of an image (`host/repository@digest`), perhaps under another tag. */
  wereCompared(image: string): boolean {
    return this.#found?.has(`referrers of ${image}`) === true;
  }

  /** Without a fingerprint, part of the list is unfinished. */
  noteReferrers(image: string, fingerprint: string | undefined): void {
    this.referrers.set(image, fingerprint);
    if (fingerprint !== undefined) this.#found?.set(`referrers of ${image}`, true);
  }

  noteFound(host: string, repository: string, digest: string): void {
    this.#found?.set(`${host}/${repository}@${digest}`, true);
  }

  /** Forgets a blob that the registry does not have, although it was recorded. */
  forget(host: string, digest: string): void {
    this.#blobs.forget(host, digest);
  }
}
