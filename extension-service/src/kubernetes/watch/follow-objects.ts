import type { KubeConfig } from '@kubernetes/client-node';
import { clusterLists } from './cluster-lists.js';
import type { ApiStatusError } from './cluster-lists.js';
import { clusterWatches } from './cluster-watches.js';
import { Reflector } from './reflector.js';
import type { ObjectSink } from './reflector.js';

/** Keeps a sink equal to the objects at `path`, such as `/api/v1/secrets`, until `signal` aborts. */
export type FollowObjects = (
  path: string,
  query: Readonly<Record<string, string>>,
  sink: ObjectSink,
  signal: AbortSignal,
) => void;

/** `onProblem` is told once for every spell of trouble of a path, whatever the number of its sinks. */
export async function followObjects(config: KubeConfig, onProblem: (message: string) => void): Promise<FollowObjects> {
  const lists = clusterLists(config);
  const watches = await clusterWatches(config);
  const troubled = new Map<string, Set<ObjectSink>>();
  return (path, query, sink, signal) => {
    const onTrouble = (error: ApiStatusError | undefined): void => {
      const sinks = troubled.get(path) ?? new Set();
      troubled.set(path, sinks);
      if (error === undefined) sinks.delete(sink);
      else if (sinks.add(sink).size === 1 && !signal.aborted) onProblem(explain(path, error));
    };
    signal.addEventListener('abort', () => troubled.get(path)?.delete(sink), { once: true });
    void new Reflector({ lists, watches, path, query, sink, onTrouble }).run(signal);
  };
}

function explain(path: string, { code, message }: ApiStatusError): string {
  if (code === 403) return `${path}: not allowed to list and watch it (403); grant the service list and watch on it`;
  return `cannot be watched, trying again: ${message}`;
}
