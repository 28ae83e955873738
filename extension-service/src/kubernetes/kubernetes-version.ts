import type { ClusterAccess } from './api.js';
import { callOptions } from './call-options.js';

/** The version of the API server, as in `v1.37.2`; undefined if it does not say so. */
export async function kubernetesVersion(cluster: Pick<ClusterAccess, 'config'>): Promise<string | undefined> {
  const { VersionApi } = await import('./client.js');
  try {
    const { gitVersion } = await cluster.config.makeApiClient(VersionApi).getCode({}, await callOptions());
    return gitVersion;
  } catch {
    return undefined;
  }
}
