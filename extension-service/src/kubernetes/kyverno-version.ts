import { kyvernoVersionOf } from '../core/engines/kyverno-clusterpolicy/retirement.js';
import type { EngineVersion } from '../core/engines/engine.js';
import type { ClusterAccess } from './api.js';
import { callOptions } from './call-options.js';

/** Name and label of the Deployment that admits Pods, which Kyverno's chart uses for every release name. */
const ADMISSION_CONTAINER = 'kyverno';
const ADMISSION_CONTROLLER = 'app.kubernetes.io/component=admission-controller,app.kubernetes.io/part-of';
const TIMEOUT_MS = 5_000;

interface Deployment {
  readonly spec?: { readonly template?: { readonly spec?: { readonly containers?: readonly Container[] } } };
}
interface Container {
  readonly name?: string;
  readonly image?: string;
}

/**
 * The version of the cluster's Kyverno, from its Deployment's image; the oldest of several. Needs the right to list
 * Deployments, which the watch has.
 *
 * @returns undefined if there is none, it cannot be read, or its image has another kind of tag
 */
export async function kyvernoVersion(cluster: Pick<ClusterAccess, 'config'>): Promise<EngineVersion | undefined> {
  const { CustomObjectsApi } = await import('./client.js');
  const api = cluster.config.makeApiClient(CustomObjectsApi);
  const request = { group: 'apps', version: 'v1', plural: 'deployments', labelSelector: ADMISSION_CONTROLLER };
  try {
    const { items } = (await api.listClusterCustomObject(request, await callOptions(undefined, TIMEOUT_MS))) as {
      readonly items: readonly Deployment[];
    };
    const containers = items.flatMap(({ spec }) => spec?.template?.spec?.containers ?? []);
    const versions = containers.flatMap(({ name, image = '' }) => {
      const version = name === ADMISSION_CONTAINER ? kyvernoVersionOf(image) : undefined;
      return version === undefined ? [] : [version];
    });
    return versions.sort((one, other) => one[0] - other[0] || one[1] - other[1])[0];
  } catch {
    return undefined;
  }
}
