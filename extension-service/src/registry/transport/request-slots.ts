import { waitForTurn } from './turn.js';

/**
 * How a request uses its connection. `exchange`: until its answer. `download`: until a blob is read, which may wait for
 * an upload. `upload`: until a streamed body is sent. `resume`: the rest of a blob whose upload already runs.
 */
export type ConnectionUse = 'exchange' | 'download' | 'upload' | 'resume';

interface Pool {
  inUse: number;
  /** In order of arrival. */
  readonly waiting: Set<() => void>;
}

/**
 * Bounds the parallel requests to one origin, for each use of a connection separately. A download waits for the upload
 * of its bytes, and an upload for a token: with a common bound, enough downloads would leave no connection for any of the
 * requests that end them. Uses wait only for later ones in the order download, upload, resume, and each for exchanges,
 * which wait for none.
 */
export class RequestSlots {
  readonly #pools = new Map<string, Pool>();

  /** @param limit maximum parallel requests to an origin, per use */
  constructor(private readonly limit: number) {}

  /**
   * Resolves with a function that frees the slot; it may be called more than once. Rejects with the abort's reason.
   * A resumed download has had a slot, and its upload holds one, so it does not wait for another.
   */
  async take(origin: string, use: ConnectionUse, signal: AbortSignal | undefined): Promise<() => void> {
    signal?.throwIfAborted();
    if (use === 'resume') return () => undefined;
    const key = `${use} ${origin}`;
    const pool = this.#pools.get(key) ?? { inUse: 0, waiting: new Set() };
    // Pods name origins: only those in use are kept.
    this.#pools.set(key, pool);
    if (pool.inUse < this.limit) pool.inUse += 1;
    // Another request hands its slot over.
    else await waitForTurn(pool.waiting, signal);
    let isFree = false;
    return () => {
      if (isFree) return;
      isFree = true;
      const [next] = pool.waiting;
      if (next !== undefined) return next();
      pool.inUse -= 1;
      if (pool.inUse === 0) this.#pools.delete(key);
    };
  }
}
