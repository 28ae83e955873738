import type { CustomObjectsApi } from '@kubernetes/client-node';
import type { Config } from '../../core/config/model.js';
import type { ClusterAccess } from '../api.js';
import { apiProblem, statusOf } from '../api-problem.js';
import { callOptions } from '../call-options.js';

/** The key of the ConfigMap. */
const KEY = 'ca.crt';

export interface Published {
  /** Whoever verifies the serving certificate has the authorities, as far as the service can see. */
  readonly complete: boolean;
  /** What keeps them from having it. */
  readonly problems: readonly string[];
}

/** What became of one object: a problem, or `pending` where nothing is wrong and another look will do. */
type Outcome = { readonly problem: string } | 'pending' | 'done';

/**
 * Puts the authorities' certificates where policies that others applied look for them: the ConfigMap that a ClusterPolicy
 * reads, and Gatekeeper's Provider or the webhook of the configured engine, where these exist. An object that the service
 * manages itself is only looked at: its own task writes it.
 */
export async function publishAuthority(
  cluster: ClusterAccess,
  { tls, policies }: Pick<Config, 'tls' | 'policies'>,
  bundle: string,
): Promise<Published> {
  const { CustomObjectsApi, PatchStrategy } = await import('../client.js');
  const objects = cluster.config.makeApiClient(CustomObjectsApi);
  const options = {
    read: await callOptions(),
    merge: await callOptions(PatchStrategy.MergePatch),
    json: await callOptions(PatchStrategy.JsonPatch),
  };
  const work = [intoConfigMap()];
  if (policies.engine === 'gatekeeper') work.push(intoProvider());
  if (policies.engine === 'webhook') work.push(intoWebhooks());
  const outcomes = await Promise.all(work);
  return {
    complete: outcomes.every((outcome) => outcome === 'done'),
    problems: outcomes.flatMap((outcome) => (typeof outcome === 'object' ? [outcome.problem] : [])),
  };

  async function intoConfigMap(): Promise<Outcome> {
    const { core, namespace } = cluster;
    const name = tls.configMapName;
    const what = `ConfigMap ${namespace}/${name}`;
    try {
      const found = await core.readNamespacedConfigMap({ name, namespace }, options.read).catch(absent);
      if (found === undefined) {
        const body = { metadata: { name, namespace }, data: { [KEY]: bundle } };
        await core.createNamespacedConfigMap({ namespace, body }, options.read);
      } else if (found.data?.[KEY] !== bundle) {
        const body = { data: { [KEY]: bundle } };
        await core.patchNamespacedConfigMap({ name, namespace, body }, options.merge);
      }
      return 'done';
    } catch (error) {
      return { problem: apiProblem(what, error, ['get', 'patch', 'create (or make it beforehand)']) };
    }
  }

  async function intoProvider(): Promise<Outcome> {
    const at = { group: 'externaldata.gatekeeper.sh', version: 'v1beta1', plural: 'providers', name: policies.name };
    return into(`Provider ${policies.name}`, at, (object) => {
      const provider = object as { readonly spec?: { readonly caBundle?: string } };
      return provider.spec?.caBundle === base64(bundle) ? [] : [replaced('/spec/caBundle')];
    });
  }

  async function intoWebhooks(): Promise<Outcome> {
    const at = {
      group: 'admissionregistration.k8s.io',
      version: 'v1',
      plural: 'mutatingwebhookconfigurations',
      name: policies.name,
    };
    return into(`MutatingWebhookConfiguration ${policies.name}`, at, (object) => {
      const { webhooks = [] } = object as { readonly webhooks?: readonly { clientConfig: { caBundle?: string } }[] };
      return webhooks.flatMap(({ clientConfig }, index) =>
        clientConfig.caBundle === base64(bundle) ? [] : [replaced(`/webhooks/${index}/clientConfig/caBundle`)],
      );
    });
  }

  async function into(
    what: string,
    at: Parameters<CustomObjectsApi['getClusterCustomObject']>[0],
    changes: (object: unknown) => readonly object[],
  ): Promise<Outcome> {
    try {
      const object: unknown = await objects.getClusterCustomObject(at, options.read).catch(absent);
      const wanted = object === undefined ? [] : changes(object);
      if (wanted.length === 0) return 'done';
      if (policies.manage) return 'pending';
      const { resourceVersion } = (object as { readonly metadata: { readonly resourceVersion: string } }).metadata;
      // Only if it still is the object that was looked at: indexes would be another webhook's.
      const body = [{ op: 'test', path: '/metadata/resourceVersion', value: resourceVersion }, ...wanted];
      await objects.patchClusterCustomObject({ ...at, body }, options.json);
      return 'done';
    } catch (error) {
      // Somebody changed the object at the same time.
      return statusOf(error) === 409 ? 'pending' : { problem: apiProblem(what, error, ['get', 'patch']) };
    }
  }

  function replaced(path: string): object {
    return { op: 'add', path, value: base64(bundle) };
  }
}

/** For objects that need not be there. */
function absent(error: unknown): undefined {
  if (statusOf(error) === 404) return undefined;
  throw error;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
