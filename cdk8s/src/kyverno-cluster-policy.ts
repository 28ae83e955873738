import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { renderKyvernoClusterPolicy } from '../../extension-service/src/core/engines/kyverno-clusterpolicy/cluster-policy.js';
import type { PodProps } from './pod-props.js';
import type { PolicyProps } from './policy-props.js';
import { clusterScoped, renderedManifest } from './render.js';
import { warnOfTransport } from './warn.js';

export interface KyvernoClusterPolicyProps extends PolicyProps {
  /**
   * Prefixes of image references, each ending in `/`, such as `registry.example.com/mirror/`: the policy accepts only
   * images that begin with one of them, regardless of the service's answer.
   */
  readonly targets: readonly string[];
  /**
   * The configuration's `source.filters`, in order. If the engine itself can determine that a filter excludes a Pod, it
   * makes no call; the service still evaluates all filters. Also adds the configuration's hash to the policy.
   * @default none
   */
  readonly filters?: readonly string[];
  /**
   * The configuration's `source.directTarget`. With `refuse` every Pod is sent to the service, opt-outs included.
   * @default 'keep'
   */
  readonly directTarget?: 'keep' | 'refuse';
  /**
   * Other configuration keys that the policy depends on; use the service's values.
   * @default the configuration's defaults
   */
  readonly pods?: PodProps;
  /**
   * CA certificates (PEM) that sign the service's certificate. Not with `caConfigMap`.
   * @default Kyverno's own trust store
   */
  readonly caBundle?: string;
  /**
   * The ConfigMap from which Kyverno reads the CA certificates at each request, so that they can rotate without a
   * change to the policy. Not with `caBundle`.
   * @default none
   */
  readonly caConfigMap?: ConfigMapKey;
}

export interface ConfigMapKey {
  readonly name: string;
  readonly namespace: string;
  /**
   * The key under `data`.
   * @default 'ca.crt'
   */
  readonly key?: string;
}

/**
 * A Kyverno `ClusterPolicy` (kyverno.io/v1; Kyverno 1.19 or older), for clusters without `MutatingPolicy`. Kyverno
 * deprecates this kind and rejects it from 1.20: prefer `KyvernoMutatingPolicy`.
 */
export class KyvernoClusterPolicy extends ApiObject {
  constructor(scope: Construct, id: string, props: KyvernoClusterPolicyProps) {
    super(
      scope,
      id,
      renderedManifest(scope, id, () => renderKyvernoClusterPolicy(props)),
    );
    clusterScoped(this);
    warnOfTransport(this, { engine: 'kyverno-clusterpolicy', ...props });
  }
}
