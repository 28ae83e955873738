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
  /** CA certificates (PEM) that sign the service's certificate; undefined for public ones, or if none is needed. */
  readonly caBundle: string | undefined;
  /** For an engine whose policies contain it. */
  readonly tables?: ImageTables;
}

/**
 * The policies that the current configuration needs; none without `policies.manage`.
 *
 * @throws InvalidPolicyOptionError for options that the engine does not support
 */
export function wantedPolicies(
  config: Config,
  { namespace, caBundle, tables }: WantedOptions,
): readonly PolicyObject[] {
  const { manage, engine, name, failClosed } = config.policies;
  if (!manage || engine === 'none') return [];
  const authority = engineOf(config.policies)?.transport?.ca;
  const { labels, annotations }: Owner = ownerOf(config, namespace);
  const url = config.policies.url ?? defaultUrl(engine, namespace);
  const ca = caOf();
  return policiesForConfig(config, {
    ...{ engine, name, url, failClosed, labels, annotations, nameTarget: namingTarget },
    // If the service's own Pods waited for the service, it could never start.
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
