import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { renderMutatingWebhook } from '../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import type { PodProps } from './pod-props.js';
import type { PolicyProps } from './policy-props.js';
import { clusterScoped, renderedManifest } from './render.js';
import { warnOfTransport } from './warn.js';

export interface MutatingWebhookProps extends PolicyProps {
  /**
   * Prefixes of image references, each ending in `/`. Without an engine in between, nothing checks the service's
   * answers against them; they are part of the configuration's hash.
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
   * CA certificates (PEM) that sign the service's certificate.
   * @default the API server's own trust store
   */
  readonly caBundle?: string;
  /**
   * The service's `auth.webhook.path`, which authenticates the API server.
   * @default none
   */
  readonly callerPath?: string;
  /**
   * Call again when a later webhook changes the Pod, for example to add a sidecar.
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
    super(
      scope,
      id,
      renderedManifest(scope, id, () => renderMutatingWebhook(props)),
    );
    clusterScoped(this);
    warnOfTransport(this, { engine: 'webhook', ...props });
  }
}
