import type { Config } from '../../core/config/model.js';
import { policiesForConfig } from '../../core/policies/for-config.js';
import type { PolicyObject } from '../../core/policies/objects.js';
import type { Owner } from './owner.js';
import { ownerOf } from './owner.js';
import { namingTarget } from '../../kinds/registry-naming.js';

/** Ports of the service in a default install. */
const PORTS = { plain: 8081, tls: 8443 } as const;

export interface WantedOptions {
  /** The service's own namespace. */
  readonly namespace: string;
  /** PEM text of the authorities that sign the service's certificate; undefined for public ones, or where none is needed. */
  readonly caBundle: string | undefined;
}

/**
 * The policies that the configuration in force needs; none without `policies.manage`.
 *
 * @throws InvalidPolicyOptionError for what the engine cannot do
 */
export function wantedPolicies(config: Config, { namespace, caBundle }: WantedOptions): readonly PolicyObject[] {
  const { manage, engine, name, failClosed } = config.policies;
  if (!manage || engine === 'none') return [];
  const { labels, annotations }: Owner = ownerOf(config, namespace);
  const url = config.policies.url ?? defaultUrl(engine, namespace);
  const ca = caOf();
  return policiesForConfig(config, {
    ...{ engine, name, url, failClosed, labels, annotations, nameTarget: namingTarget },
    // While the service's own Pods wait for the service, nothing starts.
    excludedNamespaces: [namespace],
    ...ca,
  });

  function caOf(): { readonly caBundle?: string; readonly caConfigMap?: { name: string; namespace: string } } {
    if (engine === 'kyverno' || !url.startsWith('https:')) return {};
    if (engine === 'kyverno-clusterpolicy' && config.tls.mode === 'selfSigned') {
      return { caConfigMap: { name: config.tls.configMapName, namespace } };
    }
    return caBundle === undefined ? {} : { caBundle };
  }
}

/** What the chart's Service is called in this namespace. */
function defaultUrl(engine: string, namespace: string): string {
  const [scheme, port] = engine === 'kyverno' ? ['http', PORTS.plain] : ['https', PORTS.tls];
  return `${scheme}://image-swapper.${namespace}.svc:${port}`;
}
