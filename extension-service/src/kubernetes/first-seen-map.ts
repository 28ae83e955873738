import type { Config } from '../core/config/model.js';
import type { SeenStore } from '../gate/seen-digests.js';
import { connectCluster } from './api.js';
import type { ClusterAccess } from './api.js';
import { apiProblem, statusOf } from './api-problem.js';
import { callOptions } from './call-options.js';

/** The key of the ConfigMap. */
const KEY = 'first-seen';

const DESCRIPTION =
  'image-swapper: when a registry first showed each image digest (targets[].gate.minimumAge). The age of a digest that is removed begins again.';

/** The name of the ConfigMap, next to the Lease of the same installation. */
export function firstSeenName({ lease }: Pick<Config, 'lease'>): string {
  return `${lease.name}-first-seen`;
}

/** Stores the times in a ConfigMap of the cluster, if there is one; connects on first use. */
export function clusterSeenStore(
  env: Readonly<Record<string, string | undefined>>,
): (config: Config) => Promise<SeenStore | undefined> {
  let opened: Promise<ClusterAccess | undefined> | undefined;
  return async (config) => {
    opened ??= connectCluster(env);
    // A broken kubeconfig may be corrected, so failures are retried.
    opened.catch(() => (opened = undefined));
    const cluster = await opened;
    return cluster && firstSeenMap(cluster, config);
  };
}

function firstSeenMap({ core, namespace: own }: ClusterAccess, config: Config): SeenStore {
  const namespace = config.lease.namespace ?? own;
  const name = firstSeenName(config);
  const title = `ConfigMap ${namespace}/${name}`;
  return {
    title,
    async read() {
      try {
        const found = await core.readNamespacedConfigMap({ name, namespace }, await callOptions());
        return { text: found.data?.[KEY] ?? '', version: found.metadata?.resourceVersion ?? '' };
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw new Error(apiProblem(title, error, ['get']), { cause: error });
      }
    },
    async write(text, version) {
      const data = { [KEY]: text };
      try {
        if (version === undefined) {
          const metadata = { name, namespace, annotations: { 'kubernetes.io/description': DESCRIPTION } };
          await core.createNamespacedConfigMap({ namespace, body: { metadata, data } }, await callOptions());
        } else {
          // The version that was read turns a concurrent write of another replica into a conflict.
          const { PatchStrategy } = await import('./client.js');
          const body = { metadata: { resourceVersion: version }, data };
          const options = await callOptions(PatchStrategy.MergePatch);
          await core.patchNamespacedConfigMap({ name, namespace, body }, options);
        }
        return true;
      } catch (error) {
        const status = statusOf(error);
        if (status === 409 || (status === 404 && version !== undefined)) return false;
        throw new Error(apiProblem(title, error, ['get', 'patch', 'create (or create it beforehand)']), {
          cause: error,
        });
      }
    },
  };
}
