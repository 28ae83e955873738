import type { CoreV1Api } from '@kubernetes/client-node';
import { readFile } from 'node:fs/promises';

export interface ClusterAccess {
  readonly core: CoreV1Api;
  /** The namespace that the service itself runs in. */
  readonly namespace: string;
}

const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

/**
 * The cluster that the process runs in, or that KUBECONFIG names. Loaded only then: the client costs 70 MB.
 *
 * @returns undefined outside of a cluster
 */
export async function connectCluster(env: Readonly<Record<string, string | undefined>>): Promise<ClusterAccess | undefined> {
  const inCluster = env['KUBERNETES_SERVICE_HOST'] !== undefined && env['KUBERNETES_SERVICE_HOST'] !== '';
  const kubeconfig = env['KUBECONFIG'] !== undefined && env['KUBECONFIG'] !== '';
  if (!inCluster && !kubeconfig) return undefined;
  const { KubeConfig, CoreV1Api } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  if (kubeconfig) config.loadFromDefault();
  else config.loadFromCluster();
  const namespace = inCluster && !kubeconfig ? await ownNamespace(env) : config.getContextObject(config.getCurrentContext())?.namespace;
  return { core: config.makeApiClient(CoreV1Api), namespace: namespace ?? 'default' };
}

async function ownNamespace(env: Readonly<Record<string, string | undefined>>): Promise<string | undefined> {
  if (env['POD_NAMESPACE'] !== undefined && env['POD_NAMESPACE'] !== '') return env['POD_NAMESPACE'];
  try {
    return (await readFile(NAMESPACE_FILE, 'utf8')).trim();
  } catch {
    return undefined;
  }
}
