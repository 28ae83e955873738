import type { Config } from '../../core/config/model.js';
import type { Rules } from '../../core/decide/rules.js';
import type { ClusterLists } from '../watch/cluster-lists.js';
import { PAGE } from '../watch/reflector.js';
import { identify } from './identify.js';
import { WORKLOAD_KINDS } from './kinds.js';
import type { WorkloadKind } from './kinds.js';
import { namespacesNotWatched } from './namespaces.js';
import { Sources } from './sources.js';
import { usesOf } from './uses.js';
import { WantedImages } from './wanted-images.js';

export interface ListedImages {
  readonly wanted: WantedImages;
  /** Images in a target whose source nobody knows. */
  readonly unknown: ReadonlySet<string>;
}

export interface ListOptions {
  readonly lists: ClusterLists;
  readonly config: Config;
  readonly rules: Rules;
  /** The service's own. */
  readonly ownNamespace: string;
  readonly signal: AbortSignal;
}

/**
 * What the cluster's workloads use now; the reconciler's computation, made once.
 *
 * @throws ApiStatusError
 */
export async function listWanted({ lists, config, rules, ownNamespace, signal }: ListOptions): Promise<ListedImages> {
  const wanted = new WantedImages();
  const unknown = new Set<string>();
  const sources = new Sources();
  const skipped = namespacesNotWatched(config, ownNamespace);
  const list = async (kind: WorkloadKind): Promise<void> => {
    let next: string | undefined;
    do {
      const from = next === undefined ? {} : { continue: next };
      const page = await lists.page(kind.path, { limit: PAGE, ...from }, signal);
      for (const object of page.items) {
        const identity = identify(kind, object);
        if (identity === undefined || skipped.has(identity.reference.namespace)) continue;
        const pod = kind.pod(object);
        if (pod === undefined) continue;
        const uses = usesOf(rules, sources, pod, identity.reference.namespace);
        for (const image of uses.unknown) unknown.add(image);
        wanted.put(identity.reference, identity.owner, uses, 0);
      }
      ({ next } = page);
    } while (next !== undefined);
  };
  // Templates first: they name the sources of Pods that were swapped.
  const [pods, templates] = [
    WORKLOAD_KINDS.filter(({ kind }) => kind === 'Pod'),
    WORKLOAD_KINDS.filter(({ kind }) => kind !== 'Pod'),
  ];
  for (const kind of [...templates, ...pods]) await list(kind);
  return { wanted, unknown };
}
