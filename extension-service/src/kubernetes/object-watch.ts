import type { KubeConfig } from '@kubernetes/client-node';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { RequestOptions } from 'node:https';
import { text as textOf } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { isObject } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';

/** Takes objects as they are and as they change. */
export interface ObjectHandler {
  /** All that there are. */
  replace(objects: readonly JsonObject[]): void;
  /** A new one, or one that has changed. */
  apply(object: JsonObject): void;
  remove(object: JsonObject): void;
}

/** The objects of one kind, for as long as somebody wants to know. */
export interface ObjectWatch {
  /** Mends itself after errors until `signal` aborts. */
  start(handler: ObjectHandler, signal: AbortSignal): void;
  /** Resolves when `replace` was called first; never rejects. */
  readonly synced: Promise<void>;
}

/** `path` such as `/api/v1/secrets`; `query` such as a fieldSelector. */
export type WatchObjects = (path: string, query: Readonly<Record<string, string>>) => ObjectWatch;

/** `onProblem` is told once for every spell of trouble, also when several watches have the same. */
export function objectWatches(config: KubeConfig, onProblem: (message: string) => void): WatchObjects {
  const told = new Map<string, number>();
  return (path, query) =>
    new ListedWatch(config, path, query, (message) => {
      const watches = told.get(message) ?? 0;
      told.set(message, watches + 1);
      if (watches === 0) onProblem(message);
      return () => told.set(message, (told.get(message) ?? 1) - 1);
    });
}

const PAGE = '500';
/** Seconds after which the server is asked to end a watch, to twice that. */
const WATCH_SECONDS = 240;
/** Milliseconds beyond that after which the other end is taken for gone. */
const GRACE = 30_000;
const PAUSE = { first: 500, longest: 60_000 };

class ApiError extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** Lists page by page, then watches from there; again after any error, anew when the server has forgotten the place. */
class ListedWatch implements ObjectWatch {
  readonly synced: Promise<void>;
  private sync: () => void = () => undefined;

  constructor(
    private readonly config: KubeConfig,
    private readonly path: string,
    private readonly query: Readonly<Record<string, string>>,
    /** @returns what says that the trouble is over */
    private readonly onProblem: (message: string) => () => void,
  ) {
    this.synced = new Promise((resolve) => (this.sync = resolve));
  }

  start(handler: ObjectHandler, signal: AbortSignal): void {
    void this.run(handler, signal);
  }

  private async run(handler: ObjectHandler, signal: AbortSignal): Promise<void> {
    let version: string | undefined;
    let failures = 0;
    let over: (() => void) | undefined;
    while (!signal.aborted) {
      try {
        version ??= await this.list(handler, signal);
        over?.();
        over = undefined;
        const began = performance.now();
        version = await this.watch(handler, version, signal);
        failures = performance.now() - began < 1_000 ? failures + 1 : 0;
      } catch (error) {
        if (signal.aborted) return;
        const code = error instanceof ApiError ? error.code : 0;
        // 410: the changes since then are gone. Any other error of the API server may mean the same.
        if (code !== 0) version = undefined;
        if (code !== 410) over ??= this.onProblem(this.explain(error, code));
        failures += 1;
      }
      if (failures === 0) continue;
      const longest = Math.min(PAUSE.longest, PAUSE.first * 2 ** Math.min(failures, 10));
      await sleep(longest * (0.5 + 0.5 * Math.random()), undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  private async list(handler: ObjectHandler, signal: AbortSignal): Promise<string> {
    const objects: JsonObject[] = [];
    let next: string | undefined;
    for (;;) {
      const query = { ...this.query, limit: PAGE, ...(next !== undefined && { continue: next }) };
      const page = await getJson(this.config, this.path, query, signal);
      const metadata = isObject(page['metadata']) ? page['metadata'] : {};
      objects.push(...(Array.isArray(page['items']) ? page['items'].filter(isObject) : []));
      const { continue: following, resourceVersion } = metadata;
      if (typeof following === 'string' && following !== '') {
        next = following;
        continue;
      }
      handler.replace(objects);
      this.sync();
      return typeof resourceVersion === 'string' ? resourceVersion : '';
    }
  }

  /** @returns where the next watch begins */
  private async watch(handler: ObjectHandler, from: string, signal: AbortSignal): Promise<string> {
    const { Watch } = await import('./client.js');
    const seconds = Math.round(WATCH_SECONDS * (1 + Math.random()));
    const query = { ...this.query, resourceVersion: from, allowWatchBookmarks: 'true', timeoutSeconds: seconds };
    let version = from;
    let failure: ApiError | undefined;
    let connection: AbortController | undefined;
    const over = AbortSignal.any([signal, AbortSignal.timeout(seconds * 1_000 + GRACE)]);
    const ended = new Promise<void>((resolve, reject) => {
      const end = (error: unknown): void => {
        over.removeEventListener('abort', abort);
        const { statusCode } = (error ?? {}) as { statusCode?: number };
        if (failure !== undefined) reject(failure);
        else if (error === null || over.aborted) resolve();
        else reject(statusCode === undefined ? (error as Error) : new ApiError(statusCode, `status ${statusCode}`));
      };
      const abort = (): void => {
        connection?.abort();
        end(null);
      };
      over.addEventListener('abort', abort);
      const onEvent = (type: string, object: unknown): void => {
        if (!isObject(object) || over.aborted) return;
        if (type === 'ERROR') {
          const { code, message } = object;
          failure = new ApiError(typeof code === 'number' ? code : 500, typeof message === 'string' ? message : type);
          connection?.abort();
          return;
        }
        if (type === 'DELETED') handler.remove(object);
        else if (type !== 'BOOKMARK') handler.apply(object);
        version = resourceVersionOf(object) ?? version;
      };
      new Watch(this.config).watch(this.path, query, onEvent, end).then((controller) => {
        connection = controller;
        if (over.aborted || failure !== undefined) controller.abort();
      }, end);
    });
    await ended;
    return version;
  }

  private explain(error: unknown, code: number): string {
    const reason = error instanceof Error ? error.message.slice(0, 300) : String(error);
    if (code === 403)
      return `${this.path}: not allowed to list and watch it (403); grant the service list and watch on it`;
    return `${this.path}: cannot be watched, trying again: ${reason}`;
  }
}

function resourceVersionOf({ metadata }: JsonObject): string | undefined {
  const version = isObject(metadata) ? metadata['resourceVersion'] : undefined;
  return typeof version === 'string' ? version : undefined;
}

async function getJson(
  config: KubeConfig,
  path: string,
  query: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<JsonObject> {
  const url = new URL((config.getCurrentCluster()?.server ?? '').replace(/\/$/, '') + path);
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  const options: RequestOptions = { headers: { accept: 'application/json' } };
  await config.applyToHTTPSOptions(options);
  const send = url.protocol === 'http:' ? httpRequest : httpsRequest;
  return new Promise((resolve, reject) => {
    const request = send(url, { ...options, signal, timeout: GRACE }, (response) => {
      const status = response.statusCode ?? 0;
      textOf(response)
        .then((body) => {
          if (status !== 200) throw new ApiError(status, `status ${status}`);
          resolve(JSON.parse(body) as JsonObject);
        }, reject)
        .catch(reject);
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', reject);
    request.end();
  });
}
