import type { Config } from '../../core/config/model.js';
import type { ImageTables } from '../../core/engines/engine.js';
import { policiesForConfig } from '../../core/engines/for-config.js';
import { engineOf } from '../../core/engines/engines.js';
import { defaultUrl } from '../../core/engines/transport.js';
import type { PolicyObject } from '../../core/policies/objects.js';
import type { Owner } from './owner.js';
import { ownerOf } from './owner.js';
import { namingTarget } from '../../kinds/registry-naming.js';

export interface WantedOptions {
  /** The service's own namespace. */
  readonly namespace: string;
  /** PEM text of the authorities that sign the service's certificate; undefined for public ones, or where none is needed. */
  readonly caBundle: string | undefined;
  /** For an engine that holds it in its policies. */
  readonly tables?: ImageTables;
}

/**
 * The policies that the configuration in force needs; none without `policies.manage`.
 *
 * @throws InvalidPolicyOptionError for what the engine cannot do
 */
export function wantedPolicies(
  config: Config,
  { namespace, caBundle, tables }: WantedOptions,
): readonly PolicyObject[] {
  const { manage, engine, name, failClosed } = config.policies;
  if (!manage || engine === 'none') return [];
  const authority = engineOf(engine)?.transport?.ca;
  const { labels, annotations }: Owner = ownerOf(config, namespace);
  const url = config.policies.url ?? defaultUrl(engine, namespace);
  const ca = caOf();
  return policiesForConfig(config, {
    ...{ engine, name, url, failClosed, labels, annotations, nameTarget: namingTarget },
    // While the service's own Pods wait for the service, nothing starts.
    excludedNamespaces: [namespace],
    managed: true,
    ...(tables !== undefined && { tables }),
    ...ca,
  });

  function caOf(): { readonly caBundle?: string; readonly caConfigMap?: { name: string; namespace: string } } {
    if (authority?.place !== 'policy' || !url.startsWith('https:')) return {};
    if (authority.configMap && config.tls.mode === 'selfSigned') {
      return { caConfigMap: { name: config.tls.configMapName, namespace } };
    }
    return caBundle === undefined ? {} : { caBundle };
  }
}
