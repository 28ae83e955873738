import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { renderKyvernoMutatingPolicy } from '../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import type { PodProps } from './pod-props.js';
import type { PolicyProps } from './policy-props.js';
import { manifest, render } from './render.js';
import { warnOfTransport } from './warn.js';

export interface KyvernoMutatingPolicyProps extends PolicyProps {
  /**
   * Prefixes of image references, each ending in `/`, such as `registry.example.com/mirror/`: the policy accepts only
   * images that begin with one of them, whatever the service answers.
   */
  readonly targets: readonly string[];
  /**
   * The configuration's `source.filters`, in order. Pods of which the engine itself can say that a filter leaves them alone
   * cost no call; the service decides all filters as before. Also puts the configuration's hash into the policy.
   * @default none
   */
  readonly filters?: readonly string[];
  /**
   * The configuration's `source.directTarget`. With `refuse` every Pod is sent to the service, opt-outs included.
   * @default 'keep'
   */
  readonly directTarget?: 'keep' | 'refuse';
  /**
   * Other keys of the configuration that the policy depends on; the same as the service's.
   * @default the configuration's defaults
   */
  readonly pods?: PodProps;
  /**
   * The Secret whose key `secret` the policy sends, so that the service knows who asks (`auth.kyverno.secret`). Kyverno
   * must be allowed to read it.
   * @default none
   */
  readonly callerSecret?: { readonly name: string; readonly namespace: string };
}

/**
 * A Kyverno `MutatingPolicy` (policies.kyverno.io/v1; Kyverno 1.19 or newer, or 1.18 with another `httpBlocklist`) that asks
 * the extension service about each new Pod, and each new ephemeral container, in one call.
 *
 * Kyverno trusts the service's certificate only by its own trust store, so `url` is `http://` (with a NetworkPolicy that
 * admits Kyverno alone), or `https://` with a public certificate or a CA that was added to Kyverno's trust store.
 */
export class KyvernoMutatingPolicy extends ApiObject {
  constructor(scope: Construct, id: string, props: KyvernoMutatingPolicyProps) {
    super(scope, id, manifest(render(scope, id, () => renderKyvernoMutatingPolicy(props))));
    warnOfTransport(this, { engine: 'kyverno', ...props });
  }
}
