import type { Config } from '../../core/config/model.js';
import type { ClusterAccess } from '../api.js';
import { apiProblem, statusOf } from '../api-problem.js';
import { callOptions } from '../call-options.js';
import { quoteInput } from '../../core/image/quote.js';
import type { CaHolder, ManagedKind } from '../../core/engines/engine.js';
import { engineOf } from '../../core/engines/engines.js';
import { policyKind } from '../managed-policies/policy-objects.js';
import { callerChanges } from './callers.js';
import { CA_FIELD_MANAGER, releasePatch } from './field-ownership.js';

/** The key of the ConfigMap. */
const KEY = 'ca.crt';

export interface Published {
  /** Every known verifier of the serving certificate has the CA certificates. */
  readonly complete: boolean;
  /** The reason why they do not have it. */
  readonly problems: readonly string[];
}

/** The result for one object; `pending` if a later check suffices. */
interface Outcome {
  readonly state: 'done' | 'pending' | 'failed';
  readonly problem?: string;
}
const PUBLISHED: Outcome = { state: 'done' };
const PENDING: Outcome = { state: 'pending' };

/**
 * Publishes the CA certificates where policies of others look for them: the ConfigMap that a ClusterPolicy reads, and
 * the Provider of Gatekeeper or the webhook of the configured engine, if these exist. An object that the service
 * manages itself is only checked, because its own task writes it.
 */
export async function publishCa(
  cluster: ClusterAccess,
  { tls, policies, source }: Pick<Config, 'tls' | 'policies' | 'source'>,
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
  for (const kind of engineOf(policies)?.kinds ?? []) {
    const { caHolder } = kind;
    if (caHolder !== undefined) work.push(...namesOf(kind, caHolder).map((name) => into(kind, caHolder, name)));
  }
  const outcomes = await Promise.all(work);
  return {
    complete: outcomes.every(({ state }) => state === 'done'),
    problems: outcomes.flatMap(({ problem }) => problem ?? []),
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
      return PUBLISHED;
    } catch (error) {
      return failed(apiProblem(what, error, ['get', 'patch', 'create (or create it beforehand)']));
    }
  }

  function namesOf(kind: ManagedKind, authority: CaHolder): readonly string[] {
    // The service writes only objects with these names, and has no rights on others.
    if (policies.manage) return kind.names(policies.name);
    return authority.names(
      policies.name,
      source.filters.map(({ jmespath }) => jmespath),
    );
  }

  async function into(kind: ManagedKind, authority: CaHolder, name: string): Promise<Outcome> {
    const what = `${kind.kind} ${name}`;
    const { group, version, plural } = policyKind(kind);
    const at = { group, version, plural, name };
    const release = async (object: unknown): Promise<void> => {
      const body = releasePatch(object);
      if (body === undefined) return;
      await objects.patchClusterCustomObject({ ...at, body, fieldManager: CA_FIELD_MANAGER }, options.json);
    };
    try {
      const object: unknown = await objects.getClusterCustomObject(at, options.read).catch(absent);
      if (object === undefined) return PUBLISHED;
      const { patch, elsewhere } = callerChanges(authority.calls(object), tls.dnsNames, bundle);
      if (patch.length > 0) {
        if (policies.manage) return PENDING;
        const { resourceVersion } = (object as { readonly metadata: { readonly resourceVersion: string } }).metadata;
        // Only if the object has not changed since it was read: an index might refer to another webhook.
        const body = [{ op: 'test', path: '/metadata/resourceVersion', value: resourceVersion }, ...patch];
        const fieldManager = CA_FIELD_MANAGER;
        const patched: unknown = await objects.patchClusterCustomObject({ ...at, body, fieldManager }, options.json);
        await release(patched);
      } else if (!policies.manage) {
        await release(object);
      }
      // A caller that uses another name does not verify this certificate, so nothing waits for it.
      return elsewhere.length === 0 ? PUBLISHED : { state: 'done', problem: callsElsewhere(what, elsewhere) };
    } catch (error) {
      // The object was changed at the same time.
      return statusOf(error) === 409 ? PENDING : failed(apiProblem(what, error, ['get', 'patch']));
    }
  }
}

function callsElsewhere(what: string, hosts: readonly string[]): string {
  const names = hosts.map(quoteInput).join(', ');
  return `${what}: calls ${names}, which tls.dnsNames does not contain: its CA bundle stays unchanged; correct the address, or add the name`;
}

function failed(problem: string): Outcome {
  return { state: 'failed', problem };
}

/** For optional objects. */
function absent(error: unknown): undefined {
  if (statusOf(error) === 404) return undefined;
  throw error;
}
