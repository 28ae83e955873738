import type { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { readFile } from 'node:fs/promises';
import { delimiter } from 'node:path';

export interface ClusterAccess {
  /** For clients of further APIs: `config.makeApiClient(CoordinationV1Api)`. */
  readonly config: KubeConfig;
  readonly core: CoreV1Api;
  /** Where the service keeps what is its own, such as the Lease: its namespace, or that of the kubeconfig's context. */
  readonly namespace: string;
  /** The namespace of the Pod that this is; undefined elsewhere, where nothing is left alone for being our own. */
  readonly ownNamespace: string | undefined;
}

const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

/**
 * The cluster that the process runs in, or that KUBECONFIG names. Loaded only then: the client costs 70 MB.
 *
 * @returns undefined outside of a cluster
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

/** @throws Error naming the file and nothing of what is in it, unlike the parser's */
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

/** By the variable that kubelets give to every container. */
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
