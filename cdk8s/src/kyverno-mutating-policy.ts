import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { renderKyvernoMutatingPolicy } from '../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import type { PodProps } from './pod-props.js';
import type { PolicyProps } from './policy-props.js';
import { clusterScoped, renderedManifest } from './render.js';
import { warnOfTransport } from './warn.js';

export interface KyvernoMutatingPolicyProps extends PolicyProps {
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
   * The Secret whose key `secret` the policy sends to authenticate itself (`auth.kyverno.secret`). Kyverno must be
   * allowed to read it.
   * @default none
   */
  readonly callerSecret?: { readonly name: string; readonly namespace: string };
}

/**
 * A Kyverno `MutatingPolicy` (policies.kyverno.io/v1; Kyverno 1.19 or newer, or 1.18 with another `httpBlocklist`) that
 * calls the extension service once for each new Pod and each new ephemeral container.
 *
 * Kyverno verifies the service's certificate only with its own trust store, so `url` is `http://` (with a NetworkPolicy
 * that admits only Kyverno), or `https://` with a public certificate or a CA that was added to Kyverno's trust store.
 */
export class KyvernoMutatingPolicy extends ApiObject {
  constructor(scope: Construct, id: string, props: KyvernoMutatingPolicyProps) {
    super(
      scope,
      id,
      renderedManifest(scope, id, () => renderKyvernoMutatingPolicy(props)),
    );
    clusterScoped(this);
    warnOfTransport(this, { engine: 'kyverno', ...props });
  }
}
