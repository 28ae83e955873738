import type { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { readFile } from 'node:fs/promises';
import { delimiter } from 'node:path';

export interface ClusterAccess {
  /** For clients of other APIs: `config.makeApiClient(CoordinationV1Api)`. */
  readonly config: KubeConfig;
  readonly core: CoreV1Api;
  /** The namespace of the service's own objects, such as the Lease: the Pod's, or that of the kubeconfig's context. */
  readonly namespace: string;
  /** The namespace of the current Pod; undefined outside a Pod, where no namespace is excluded as our own. */
  readonly ownNamespace: string | undefined;
}

const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

/**
 * The cluster of the process, or of KUBECONFIG. Loads the client, which costs 70 MB, only then.
 *
 * @returns undefined outside a cluster
 */
export async function connectCluster(
  env: Readonly<Record<string, string | undefined>>,
): Promise<ClusterAccess | undefined> {
  if (!hasCluster(env)) return undefined;
  const { KubeConfig, CoreV1Api } = await import('./client.js');
  const config = new KubeConfig();
  const own = await ownNamespace(env);
  const [first, ...others] = kubeconfigs(env);
  if (first === undefined) {
    config.loadFromCluster();
    return { config, core: config.makeApiClient(CoreV1Api), namespace: own ?? 'default', ownNamespace: own };
  }
  load(config, first);
  for (const file of others) {
    const more = new KubeConfig();
    load(more, file);
    config.mergeConfig(more, true);
  }
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace;
  return { config, core: config.makeApiClient(CoreV1Api), namespace: namespace ?? 'default', ownNamespace: own };
}

/** @throws Error with the file but not its content, which the parser's message would quote */
function load(config: KubeConfig, file: string): void {
  try {
    config.loadFromFile(file);
  } catch (error) {
    throw new Error(`the kubeconfig ${file} ${problemOf(error)}`, { cause: error });
  }
}

function problemOf(error: unknown): string {
  const { code, mark } = error as { readonly code?: unknown; readonly mark?: { readonly line?: unknown } };
  if (code === 'ENOENT') return 'does not exist';
  if (typeof code === 'string') return `cannot be read (${code})`;
  if (typeof mark?.line === 'number') return `is not valid YAML from line ${mark.line + 1}`;
  return 'is not a kubeconfig';
}

/** Whether the process runs in a cluster, or KUBECONFIG names one. */
export function hasCluster(env: Readonly<Record<string, string | undefined>>): boolean {
  return isInPod(env) || kubeconfigs(env).length > 0;
}

/** Kubelets give this variable to every container. */
export function isInPod(env: Readonly<Record<string, string | undefined>>): boolean {
  return (env['KUBERNETES_SERVICE_HOST'] ?? '') !== '';
}

function kubeconfigs(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  return (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
}

async function ownNamespace(env: Readonly<Record<string, string | undefined>>): Promise<string | undefined> {
  if (env['POD_NAMESPACE'] !== undefined && env['POD_NAMESPACE'] !== '') return env['POD_NAMESPACE'];
  try {
    return (await readFile(NAMESPACE_FILE, 'utf8')).trim();
  } catch {
    return undefined;
  }
}
