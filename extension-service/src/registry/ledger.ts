import { untilAborted } from './transport/abort.js';

const KNOWN_LIMIT = 20_000;

/** What copies that run in one process know of each other: who is sending an image or a blob, and where a blob already is. */
export class BlobLedger {
  readonly #flights = new Map<string, Promise<unknown>>();
  readonly #repositories = new Map<string, string>();

  /**
   * Runs `send` unless somebody is doing it for the same key; then waits, and only tries itself if they failed (their
   * failure may be their own abort). Resolves with undefined when somebody else did it.
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

  /** A repository of the registry that has the blob, to mount it from. */
  repositoryOf(host: string, digest: string): string | undefined {
    return this.#repositories.get(`${host} ${digest}`);
  }

  note(host: string, repository: string, digest: string): void {
    const key = `${host} ${digest}`;
    this.#repositories.delete(key);
    this.#repositories.set(key, repository);
    if (this.#repositories.size <= KNOWN_LIMIT) return;
    const [oldest] = this.#repositories.keys();
    if (oldest !== undefined) this.#repositories.delete(oldest);
  }
}
