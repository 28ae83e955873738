import { RegistryError } from './errors.js';

/** Docker Hub, ECR and Artifact Registry support HEAD; Docker Hub counts a GET of a manifest as a pull. */
const KNOWN_RIGHT = /^docker\.io$|\.dkr[.-]ecr[.-]|\.pkg\.dev$/;

/**
 * HEAD of a manifest is a hint and not a verdict: some registries, and proxies in front of them, do not support it, or
 * have stores that sign URLs for GET only. After a rejected HEAD, one GET follows, whose answer also contains the
 * reason. A 404 to HEAD is trusted only from a registry that has answered a HEAD with 200 before.
 */
export class ManifestHeads {
  readonly #isKnownRight: boolean;
  #trusted: boolean;
  /** A 404 to HEAD had to be verified, and no existing manifest has been requested since. */
  #isInDoubt = false;

  constructor(host: string) {
    this.#trusted = this.#isKnownRight = KNOWN_RIGHT.test(host);
  }

  /**
   * `head` and `get` resolve with undefined for a 404, and reject for other failures. Rejects with the failure of
   * `get`.
   *
   * @param isNeeded the caller needs the manifest: only the best-known registries are trusted
   */
  async ask<T>(
    head: () => Promise<T | undefined>,
    get: () => Promise<T | undefined>,
    isNeeded = false,
  ): Promise<T | undefined> {
    let found: T | undefined;
    try {
      found = await head();
    } catch (error) {
      if (!(error instanceof RegistryError) || error.kind === 'throttled') throw error;
      // Without a connection, GET would say the same.
      if (error.status === undefined && error.kind !== 'invalid' && !isHangUp(error)) throw error;
      return get();
    }
    if (found === undefined && !this.#trusted) {
      this.#isInDoubt = true;
      return get();
    }
    this.#trusted ||= found !== undefined;
    if (found === undefined && isNeeded && !this.#isKnownRight) return get();
    return found;
  }

  /** After a manifest was put: requests it, if that shows whether a 404 to HEAD can be trusted. */
  async check(head: () => Promise<unknown>): Promise<void> {
    if (this.#trusted || !this.#isInDoubt) return;
    this.#isInDoubt = false;
    try {
      if ((await head()) !== undefined) this.#trusted = true;
    } catch (error) {
      // The manifest exists nevertheless.
      if (!(error instanceof RegistryError)) throw error;
    }
  }
}

/** The server, or a proxy in front of it, closed the connection instead of an answer. */
function isHangUp({ cause }: RegistryError): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ECONNRESET';
}
