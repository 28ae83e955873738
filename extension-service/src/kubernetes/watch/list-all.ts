import type { JsonObject } from '../../core/decide/pod.js';
import { ApiStatusError } from './cluster-lists.js';
import type { ClusterLists, ListPage } from './cluster-lists.js';
import { Pages } from './pages.js';
import { backoff, isTransient } from './retry.js';
import { sleep } from '../../util/sleep.js';

export interface ListAllOptions {
  readonly lists: ClusterLists;
  readonly path: string;
  readonly signal: AbortSignal;
  /** The list starts, or restarts: objects applied before are discarded. */
  readonly begin: () => void;
  readonly apply: (object: JsonObject) => void;
  /** A request failed and will be retried. */
  readonly onRetry: (error: ApiStatusError, milliseconds: number) => void;
  /** First and maximum delay in milliseconds. */
  readonly pause?: readonly [number, number];
  readonly random?: () => number;
}

const PAUSES_MS: readonly [number, number] = [500, 30_000];
/** Failures of one page in a row: about two minutes. */
const MAX_TRIES = 8;
/** How often the server may forget a list before its end. */
const MAX_RESTARTS = 5;

/**
 * Reads a list once, to its end. If the API server restarts, throttles or closes a connection, the page is requested
 * again; if it has forgotten the list in between, the whole list is.
 *
 * @throws ApiStatusError if retries do not help, or the server rejects the request itself
 */
export async function listAll(options: ListAllOptions): Promise<void> {
  const { lists, path, signal, begin, apply, onRetry, random = Math.random } = options;
  const pages = new Pages(lists, path);
  let next: string | undefined;
  let failures = 0;
  let restarts = 0;
  begin();
  do {
    let page: ListPage;
    try {
      page = await pages.read(next, signal);
    } catch (error) {
      if (!(error instanceof ApiStatusError) || signal.aborted) throw error;
      const isExpired = error.code === 410 && next !== undefined && (restarts += 1) < MAX_RESTARTS;
      failures += 1;
      if (!isExpired && (!isTransient(error) || failures >= MAX_TRIES)) throw error;
      if (isExpired) {
        next = undefined;
        begin();
      }
      const milliseconds = backoff(failures, error, options.pause ?? PAUSES_MS, random);
      onRetry(error, milliseconds);
      await sleep(milliseconds, signal);
      continue;
    }
    failures = 0;
    for (const object of page.items) apply(object);
    ({ next } = page);
    if (next === undefined) return;
  } while (!signal.aborted);
  signal.throwIfAborted();
}
