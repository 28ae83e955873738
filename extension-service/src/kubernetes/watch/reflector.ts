import { isObject } from '../../core/decide/pod.js';
import type { JsonObject } from '../../core/decide/pod.js';
import { ApiStatusError } from './cluster-lists.js';
import type { ClusterLists, ListPage } from './cluster-lists.js';
import type { ClusterWatches, WatchEvent } from './cluster-watches.js';
import { Pages } from './pages.js';
import { backoff, isTransient, isRefusal } from './retry.js';
import { sleep } from '../../util/sleep.js';

/** Receives the objects of one kind and their changes. Calls come one after the other. */
export interface ObjectSink {
  /** A complete list starts: objects that are not applied before `listed` no longer exist. */
  listing(): void;
  apply(object: JsonObject): void;
  remove(object: JsonObject): void;
  listed(): void;
  /** Called whenever access is denied, for sinks that may keep objects only while they may read them. */
  refused?(): void;
}

export interface ReflectorOptions {
  readonly lists: ClusterLists;
  readonly watches: ClusterWatches;
  /** Such as `/api/v1/pods`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly sink: ObjectSink;
  /**
   * Called once per period of failures, again when a failure becomes a rejection, and with undefined when it is over.
   */
  readonly onProblem: (error: ApiStatusError | undefined) => void;
  /** A list or a watch failed, and will be restarted. */
  readonly onRestart?: () => void;
  readonly random?: () => number;
  readonly times?: ReflectorTimes;
}

/** Milliseconds. */
export interface ReflectorTimes {
  /** A watch that is silent for this long has lost its other end: bookmarks arrive about each minute. */
  readonly idleTimeoutMs: number;
  /** A watch asks the API server to end it after a random time between this and twice this. */
  readonly watch: number;
  /** The delay after an error, doubled with each further one up to the last. */
  readonly pause: readonly [number, number];
}

const TIMES: ReflectorTimes = { idleTimeoutMs: 100_000, watch: 240_000, pause: [500, 30_000] };

/**
 * Keeps a sink equal to the API server's objects of one kind: lists page by page, then watches from there; restarts
 * after any error, or if the server has forgotten the position. The client's own informers stop for good at most errors
 * and hold whole lists.
 */
export class Reflector {
  private version: string | undefined;
  /** The next page of an interrupted list, so that earlier pages are not read again. */
  private next: string | undefined;
  private problem: 'passing' | 'refused' | undefined;
  private open = false;
  private failures = 0;
  /** How often in a row the server had forgotten the position, without a successful watch in between. */
  private expiredCount = 0;

  private readonly pages: Pages;

  constructor(private readonly options: ReflectorOptions) {
    const { lists, path, query } = options;
    this.pages = new Pages(lists, path, query);
  }

  /** Whether the sink has all objects and receives changes. */
  get up(): boolean {
    return this.version !== undefined && (this.open || this.problem === undefined);
  }

  /** Until `signal` aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    this.version = undefined;
    this.next = undefined;
    const short = 2 * (this.options.times ?? TIMES).pause[0];
    while (!signal.aborted) {
      try {
        if (this.version === undefined) await this.list(signal);
        const started = performance.now();
        await this.watch(signal);
        // Avoids a tight loop if a server accepts watches and ends them at once.
        if (performance.now() - started < short) await sleep(short, signal);
        else this.watched();
      } catch (error) {
        if (signal.aborted) return;
        await this.recover(error, signal);
      }
    }
  }

  private async list(signal: AbortSignal): Promise<void> {
    const { sink } = this.options;
    if (this.next === undefined) sink.listing();
    let page: ListPage;
    do {
      page = await this.pages.read(this.next, signal);
      for (const object of page.items) sink.apply(object);
      this.next = page.next;
      // A list that expires before it can be watched is useless.
      if (this.expiredCount < 2) this.healthy();
    } while (this.next !== undefined && !signal.aborted);
    if (signal.aborted) return;
    sink.listed();
    this.version = page.resourceVersion;
  }

  private async watch(signal: AbortSignal): Promise<void> {
    const { watches, path, query, random = Math.random, times = TIMES } = this.options;
    if (this.version === undefined) return;
    const seconds = Math.ceil((times.watch * (1 + random())) / 1_000);
    try {
      await watches.follow(
        path,
        {
          ...query,
          allowWatchBookmarks: 'true',
          timeoutSeconds: String(seconds),
          resourceVersion: this.version,
        },
        (event) => this.take(event),
        { signal, idleTimeoutMs: times.idleTimeoutMs, onOpen: () => (this.open = true) },
      );
    } finally {
      this.open = false;
    }
  }

  private take({ type, object }: WatchEvent): void {
    const { sink } = this.options;
    if (type === 'ERROR') {
      const code = typeof object['code'] === 'number' ? object['code'] : 0;
      const { message } = object;
      const reason = typeof message === 'string' ? message.slice(0, 300) : 'the watch failed';
      throw new ApiStatusError(code, `${this.options.path}: ${reason}`);
    }
    this.watched();
    if (type === 'ADDED' || type === 'MODIFIED') sink.apply(object);
    else if (type === 'DELETED') sink.remove(object);
    const version = isObject(object['metadata']) ? object['metadata']['resourceVersion'] : undefined;
    if (typeof version === 'string') this.version = version;
  }

  private watched(): void {
    this.expiredCount = 0;
    this.healthy();
  }

  private healthy(): void {
    this.failures = 0;
    if (this.problem === undefined) return;
    this.problem = undefined;
    this.options.onProblem(undefined);
  }

  private async recover(error: unknown, signal: AbortSignal): Promise<void> {
    const { random = Math.random, times = TIMES, onProblem: onTrouble, sink } = this.options;
    const known = error instanceof ApiStatusError ? error : new ApiStatusError(0, String(error), { cause: error });
    // A list continues where it was interrupted, unless the server rejects the request itself.
    if (!isTransient(known)) this.next = undefined;
    // "Gone": the server has forgotten our version, possibly between two pages.
    if (known.code === 410) {
      this.version = undefined;
      // Retries once at once; a server that repeats this must not get requests for whole lists in a tight loop.
      if (this.expiredCount++ === 0) return;
    }
    const refused = isRefusal(known);
    if (refused && sink.refused !== undefined) {
      sink.refused();
      this.version = undefined;
    }
    this.failures += 1;
    this.options.onRestart?.();
    if (this.problem === undefined || (refused && this.problem === 'passing')) {
      this.problem = refused ? 'refused' : 'passing';
      onTrouble(known);
    }
    await sleep(backoff(Math.max(this.failures, this.expiredCount), known, times.pause, random), signal);
  }
}
