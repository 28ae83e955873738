import type { Config } from '../core/config/model.js';
import type { ClusterAccess } from '../kubernetes/api.js';
import { LeaseError } from '../kubernetes/lease/api.js';
import { ClusterLease } from '../kubernetes/lease/cluster-lease.js';

const TIMEOUT_MS = 5_000;

/**
 * The identity of this install on a queue server: the uid of its Lease, which is unique across clusters. Without a
 * cluster, all services with the same Lease name are one install.
 *
 * @throws LeaseError while there is no Lease yet
 */
export async function installOf(
  connect: () => Promise<ClusterAccess | undefined>,
  { lease, reconcile }: Pick<Config, 'lease' | 'reconcile'>,
): Promise<{ readonly id: string; readonly title: string }> {
  const cluster = await connect();
  if (cluster === undefined) return { id: `no cluster ${lease.name}`, title: `${lease.name}, outside of a cluster` };
  const name = `${lease.namespace ?? cluster.namespace}/${lease.name}`;
  const server = cluster.config.getCurrentCluster()?.server ?? '';
  const api = await ClusterLease.connect(cluster, lease.name, lease.namespace);
  try {
    const uid = await api.uid(AbortSignal.timeout(TIMEOUT_MS));
    return { id: uid, title: `Lease ${name} with uid ${uid}` };
  } catch (error) {
    // Without `reconcile` there is no leader, so no replica creates the Lease.
    if (reconcile.enabled || !(error instanceof LeaseError) || error.kind !== 'refused') throw error;
    return { id: `${server} ${name}`, title: `${name} at ${server}` };
  }
}
