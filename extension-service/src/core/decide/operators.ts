import type { OperatorConfig } from '../config/model.js';
import { isObject, podLabels } from './pod.js';
import type { Json, JsonObject } from './pod.js';

/**
 * Operators that compare the images of their Pods with what they ordered. Most keep replacing a Pod whose image differs.
 * - CloudNativePG: cloudnative-pg/cloudnative-pg issues 4138, 6344, 10418, 10872.
 * - Aerospike: aerospike/aerospike-kubernetes-operator issue 402. A StatefulSet owns the Pods, so a label identifies
 * them.
 * - Zalando's PostgreSQL operator: zalando/postgres-operator issues 2436, 2453, 2622. A StatefulSet owns the Pods.
 * - NiFiKop before 1.14: konpyutaika/nifikop issue 541.
 * - Operator Lifecycle Manager (OpenShift): operator-framework/operator-lifecycle-manager issues 2004, 2986.
 * - Jenkins: jenkinsci/kubernetes-operator issue 733 (`compareContainers`).
 * - Koperator: adobe/koperator pull request 269.
 * - KubeBlocks: apecloud/kubeblocks issues 7723, 9267. It writes the original image back, which restarts the container.
 * - KubeVirt: marks a virtual machine as outdated whose virt-launcher has another image than it would choose, and live
 * migrates it again and again (harvester/harvester issue 9656; `setLauncherContainerInfo`).
 * - Longhorn: longhorn/longhorn issue 9638. Its manager waits for Pods of another image to end, and never starts. A
 * DaemonSet owns the Pods.
 * - Percona Server for MongoDB: percona/percona-server-mongodb-operator issue 2208. It finds its backup agents by image,
 * so backups fail. A StatefulSet owns the Pods.
 * - vcluster and k3k: virtual clusters, whose syncers write the image of the virtual Pod into the Pod of the host, so
 * that its containers restart with the source's image (vcluster `calcSpecDiff`, k3k `updateContainerImages`). k3k also
 * keeps trying to write ephemeral containers.
 * - GKE Autopilot: admits a privileged Pod only if its images are those of the allowlist that its label names (GKE's
 * reference of `WorkloadAllowlist`), so that a swapped Pod is refused.
 */
export const DEFAULT_OPERATORS: readonly OperatorConfig[] = [
  { apiGroup: 'postgresql.cnpg.io', kind: 'Cluster' },
  { apiGroup: 'asdb.aerospike.com', kind: 'AerospikeCluster', label: 'aerospike.com/cr' },
  { apiGroup: 'acid.zalan.do', kind: 'postgresql', label: 'application=spilo' },
  { apiGroup: 'nifi.konpyutaika.com', kind: 'NifiCluster' },
  { apiGroup: 'operators.coreos.com', kind: 'CatalogSource' },
  { apiGroup: 'jenkins.io', kind: 'Jenkins' },
  { apiGroup: 'kafka.banzaicloud.io', kind: 'KafkaCluster' },
  { apiGroup: 'workloads.kubeblocks.io', kind: 'InstanceSet' },
  { apiGroup: 'kubevirt.io', kind: 'VirtualMachineInstance' },
  { apiGroup: 'longhorn.io', kind: 'Node', label: 'app=longhorn-manager' },
  {
    apiGroup: 'psmdb.percona.com',
    kind: 'PerconaServerMongoDB',
    label: 'app.kubernetes.io/managed-by=percona-server-mongodb-operator',
  },
  { apiGroup: 'vcluster.loft.sh', kind: 'VirtualCluster', label: 'vcluster.loft.sh/managed-by' },
  { apiGroup: 'k3k.io', kind: 'Cluster', label: 'k3k.io/clusterName' },
  { apiGroup: 'auto.gke.io', kind: 'WorkloadAllowlist', label: 'cloud.google.com/matching-allowlist' },
];

/** The first of the operators that a Pod belongs to, by an owner reference or by its label. */
export function operatorOf(operators: readonly OperatorConfig[], pod: JsonObject): OperatorConfig | undefined {
  if (operators.length === 0) return undefined;
  const metadata = isObject(pod['metadata']) ? pod['metadata'] : {};
  const owners: readonly Json[] = Array.isArray(metadata['ownerReferences']) ? metadata['ownerReferences'] : [];
  const labels = podLabels(pod);
  return operators.find(({ apiGroup, kind, label }) => {
    const isOwner = (owner: Json): boolean =>
      isObject(owner) &&
      owner['kind'] === kind &&
      typeof owner['apiVersion'] === 'string' &&
      owner['apiVersion'].startsWith(`${apiGroup}/`);
    return owners.some(isOwner) || (label !== undefined && hasLabel(labels, label));
  });
}

/** Key and value of `KEY` or `KEY=VALUE`; without a value, any value matches. */
export function labelParts(label: string): { readonly key: string; readonly value?: string } {
  const at = label.indexOf('=');
  return at < 0 ? { key: label } : { key: label.slice(0, at), value: label.slice(at + 1) };
}

function hasLabel(labels: JsonObject, label: string): boolean {
  const { key, value } = labelParts(label);
  if (!Object.hasOwn(labels, key)) return false;
  return value === undefined || labels[key] === value;
}
