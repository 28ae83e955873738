import type { Config } from '../../core/config/model.js';
import type { JsonObject } from '../../core/decide/pod.js';
import type { Rules } from '../../core/decide/rules.js';
import type { ClusterLists } from '../watch/cluster-lists.js';
import { listAll } from '../watch/list-all.js';
import type { ListAllOptions } from '../watch/list-all.js';
import { identify } from './identify.js';
import { WORKLOAD_KINDS } from './kinds.js';
import type { WorkloadKind } from './kinds.js';
import { namespacesNotWatched } from './namespaces.js';
import { Sources } from './sources.js';
import { usesOf } from './uses.js';
import { WantedImages } from './wanted-images.js';

export interface ListedImages {
  readonly wanted: WantedImages;
  /** Images in a target whose source is unknown. */
  readonly unknown: ReadonlySet<string>;
}

export interface ListOptions extends Pick<ListAllOptions, 'onRetry' | 'pause'> {
  readonly lists: ClusterLists;
  readonly config: Config;
  readonly rules: Rules;
  /** The service's own namespace, if it runs in the cluster. */
  readonly ownNamespace: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * The images that the cluster's workloads use now: the reconciler's computation, done once, against an API server that
 * may be busy.
 *
 * @throws ApiStatusError
 */
export async function listWanted(options: ListOptions): Promise<ListedImages> {
  const { config, rules, ownNamespace } = options;
  const wanted = new WantedImages();
  const unknown = new Set<string>();
  const sources = new Sources();
  const skipped = namespacesNotWatched(config, ownNamespace);
  let generation = 0;
  const list = async (kind: WorkloadKind): Promise<void> => {
    const apply = (object: JsonObject): void => {
      const identity = identify(kind, object);
      if (identity === undefined || skipped.has(identity.reference.namespace)) return;
      const pod = kind.pod(object);
      if (pod === undefined) return;
      const uses = usesOf(rules, sources, pod, identity.reference.namespace);
      for (const image of uses.unknown) unknown.add(image);
      wanted.put(identity.reference, identity.owner, uses, generation);
    };
    await listAll({ ...options, path: kind.path, begin: () => (generation += 1), apply });
    // Objects of an earlier list that have been deleted.
    wanted.prune(kind.kind, generation);
  };
  // Templates first: they name the sources of Pods that were swapped.
  const [pods, templates] = [
    WORKLOAD_KINDS.filter(({ kind }) => kind === 'Pod'),
    WORKLOAD_KINDS.filter(({ kind }) => kind !== 'Pod'),
  ];
  for (const kind of [...templates, ...pods]) await list(kind);
  return { wanted, unknown };
}
