const KNOWN_LIMIT = 20_000;

/** What copies that run in one process know of each other's blobs: who is sending one, and where one already is. */
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
      const done = await untilAborted(other, signal);
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

/** Whether the other succeeded; rejects when we are aborted first. */
async function untilAborted(other: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    signal.addEventListener('abort', stop, { once: true });
  });
  const finished = other.then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([finished, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
