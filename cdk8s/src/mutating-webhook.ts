import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { renderMutatingWebhook } from '../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import type { PodProps } from './pod-props.js';
import type { PolicyProps } from './policy-props.js';
import { manifest, render } from './render.js';
import { warnOfTransport } from './warn.js';

export interface MutatingWebhookProps extends PolicyProps {
  /**
   * Prefixes of image references, each ending in `/`. Without an engine between, nothing checks the service's answers
   * against them; they are part of the configuration's hash.
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
   * PEM text of the authorities that sign the service's certificate.
   * @default the API server's own trust store
   */
  readonly caBundle?: string;
  /**
   * The service's `auth.webhook.path`, which shows it who asks.
   * @default none
   */
  readonly callerPath?: string;
  /**
   * Ask again when a later webhook changed the Pod, as one that adds a sidecar does.
   * @default 'IfNeeded'; 'Never' with `directTarget: refuse`
   */
  readonly reinvocationPolicy?: 'IfNeeded' | 'Never';
}

/**
 * A `MutatingWebhookConfiguration` (Kubernetes 1.28 or newer), for clusters without a policy engine. A `url` that names a
 * Service (`https://NAME.NAMESPACE.svc:PORT`) becomes a reference to it.
 */
export class MutatingWebhook extends ApiObject {
  constructor(scope: Construct, id: string, props: MutatingWebhookProps) {
    super(scope, id, manifest(render(scope, id, () => renderMutatingWebhook(props))));
    warnOfTransport(this, { engine: 'webhook', ...props });
  }
}
