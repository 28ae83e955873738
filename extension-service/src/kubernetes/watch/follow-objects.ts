import type { KubeConfig } from '@kubernetes/client-node';
import { clusterLists } from './cluster-lists.js';
import type { ApiStatusError } from './cluster-lists.js';
import { clusterWatches } from './cluster-watches.js';
import { Reflector } from './reflector.js';
import type { ObjectSink } from './reflector.js';
import { isRefusal } from './retry.js';

/** Keeps a sink equal to the objects at `path`, such as `/api/v1/secrets`, until `signal` aborts. */
export type FollowObjects = (
  path: string,
  query: Readonly<Record<string, string>>,
  sink: ObjectSink,
  signal: AbortSignal,
) => void;

/**
 * `onProblem` is called once per period of failures, and of rejections, of a path, regardless of the number of its
 * sinks.
 */
export async function followObjects(config: KubeConfig, onProblem: (message: string) => void): Promise<FollowObjects> {
  const lists = clusterLists(config);
  const watches = await clusterWatches(config);
  const failing = new Map<string, Set<ObjectSink>>();
  const sinksOf = (path: string, kind: 'refused' | 'other'): Set<ObjectSink> => {
    const key = `${kind} ${path}`;
    const sinks = failing.get(key) ?? new Set();
    failing.set(key, sinks);
    return sinks;
  };
  return (path, query, sink, signal) => {
    const isOver = (): void => {
      for (const kind of ['refused', 'other'] as const) sinksOf(path, kind).delete(sink);
    };
    const handleFailure = (error: ApiStatusError | undefined): void => {
      if (error === undefined) return isOver();
      const sinks = sinksOf(path, isRefusal(error) ? 'refused' : 'other');
      if (sinks.add(sink).size === 1 && !signal.aborted) onProblem(explain(path, error));
    };
    signal.addEventListener('abort', isOver, { once: true });
    void new Reflector({ lists, watches, path, query, sink, onProblem: handleFailure }).run(signal);
  };
}

function explain(path: string, { code, message }: ApiStatusError): string {
  if (code === 401) return `${path}: the API server does not accept the service's token (401)`;
  if (code === 403) return `${path}: not allowed to list and watch (403); grant the service the verbs list and watch`;
  return `cannot watch, retrying: ${message}`;
}
