import type { KubeConfig } from '@kubernetes/client-node';
import { isObject } from '../../core/decide/pod.js';
import type { JsonObject } from '../../core/decide/pod.js';
import { ApiStatusError } from './cluster-lists.js';

export interface WatchEvent {
  readonly type: string;
  readonly object: JsonObject;
}

export interface WatchOptions {
  readonly signal: AbortSignal;
  readonly idleTimeoutMs: number;
  /** The API server has started to respond. */
  readonly onOpen?: () => void;
}

/** Follows changes of objects. */
export interface ClusterWatches {
  /**
   * Resolves when the API server ends the watch, as it does after `timeoutSeconds`.
   *
   * @throws ApiStatusError if it could not start, was interrupted, or received nothing for `idleTimeoutMs` milliseconds: a watch
   * whose other end is gone looks like one without events, except for the bookmarks that arrive each minute
   */
  follow(
    path: string,
    query: Readonly<Record<string, string>>,
    onEvent: (event: WatchEvent) => void,
    options: WatchOptions,
  ): Promise<void>;
}

/** The client's own watch, with an addition: it ends connections that hang or have gone silent. */
export async function clusterWatches(config: KubeConfig): Promise<ClusterWatches> {
  const { Watch } = await import('../client.js');
  return {
    follow: (path, query, onEvent, { signal, idleTimeoutMs, onOpen }) =>
      new Promise((resolve, reject) => {
        let ended = false;
        let connection: AbortController | undefined;
        let timer: NodeJS.Timeout | undefined;
        const end = (error?: Error): void => {
          if (ended) return;
          ended = true;
          clearTimeout(timer);
          signal.removeEventListener('abort', onAbort);
          connection?.abort();
          if (error === undefined) resolve();
          else reject(error);
        };
        const onAbort = (): void => end();
        const restartIdleTimer = (): void => {
          clearTimeout(timer);
          timer = setTimeout(
            () => end(new ApiStatusError(0, `${path}: no data for ${idleTimeoutMs / 1_000} s`)),
            idleTimeoutMs,
          );
          timer.unref();
        };
        if (signal.aborted) {
          resolve();
          return;
        }
        signal.addEventListener('abort', onAbort, { once: true });
        restartIdleTimer();
        const watch = new Watch(config);
        const onLine = (type: string, object: unknown): void => {
          if (ended) return;
          restartIdleTimer();
          try {
            onEvent({ type, object: isObject(object) ? object : {} });
          } catch (error) {
            end(error instanceof Error ? error : new Error(String(error)));
          }
        };
        watch
          .watch(path, { ...query }, onLine, (error: unknown) =>
            end(error === null ? undefined : watchError(path, error)),
          )
          .then(
            (controller) => {
              connection = controller;
              // It may have hung for so long that nothing waits for it any more.
              if (ended) controller.abort();
              else onOpen?.();
            },
            (error: unknown) => end(watchError(path, error)),
          );
      }),
  };
}

function watchError(path: string, error: unknown): ApiStatusError | undefined {
  if (error === undefined) return undefined;
  const code = isObject(error) && typeof error['statusCode'] === 'number' ? error['statusCode'] : 0;
  const message = error instanceof Error ? error.message : 'the watch was interrupted';
  return new ApiStatusError(code, `${path}: ${message}`, { cause: error });
}
