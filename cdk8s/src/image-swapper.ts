import { rootCertificates } from 'node:tls';
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import { gatekeeperChartValues } from '../../extension-service/src/core/policies/engine-values.js';
import { transportOf } from '../../extension-service/src/core/policies/transport.js';
import type { Transport } from '../../extension-service/src/core/policies/transport.js';
import { GatekeeperMutation } from './gatekeeper-mutation.js';
import { KyvernoClusterPolicy } from './kyverno-cluster-policy.js';
import type { ConfigMapKey } from './kyverno-cluster-policy.js';
import { KyvernoMutatingPolicy } from './kyverno-mutating-policy.js';
import { MutatingWebhook } from './mutating-webhook.js';
import { plainListenerPolicy } from './network-policy.js';
import type { PolicyProps } from './policy-props.js';
import { render } from './render.js';
import { filtersOf, targetsOf } from './swapper-config.js';
import type { SwapperConfig } from './swapper-config.js';

export interface ImageSwapperProps extends Omit<PolicyProps, 'url'> {
  /** The service's configuration: the policies get its targets, its filters and its hash. */
  readonly config: SwapperConfig;
  /**
   * Who asks the service: Kyverno by a MutatingPolicy (1.18 or newer) or a ClusterPolicy (before 1.20), Gatekeeper (3.23
   * or newer), or the API server itself (Kubernetes 1.28 or newer).
   */
  readonly engine: 'kyverno' | 'kyverno-clusterpolicy' | 'gatekeeper' | 'webhook';
  /**
   * How the engine reaches the service.
   *
   * - `plain-http`: no TLS, with a NetworkPolicy that admits Kyverno alone. Works without touching Kyverno; whoever can
   *   read the network between them can read Pods.
   * - `private-ca`: TLS with a certificate of your own authority, given as `caBundle`. MutatingPolicy cannot carry it:
   *   install Kyverno with `engineValues` then.
   * - `public`: TLS with a certificate of a public authority. The service needs a name that it is valid for, as `url`.
   * @default 'plain-http' for kyverno, else 'private-ca'
   */
  readonly tls?: 'plain-http' | 'private-ca' | 'public';
  /**
   * Base address of the service.
   * @default that of its Helm chart, installed as image-swapper in the namespace image-swapper
   */
  readonly url?: string;
  /**
   * PEM text of the authorities that sign the service's certificate.
   * @default none
   */
  readonly caBundle?: string;
  /**
   * Where kyverno-clusterpolicy reads that text at each request, so that it can rotate. Not with `caBundle`.
   * @default none
   */
  readonly caConfigMap?: ConfigMapKey;
  /**
   * Under `plain-http`: also a NetworkPolicy for the service's Pods that lets only Kyverno's namespace reach the plain
   * listener.
   * @default true
   */
  readonly networkPolicy?: boolean;
}

/** The policies for a configuration of the service, in the engine of your choice. */
export class ImageSwapper extends Construct {
  /** What the choice of transport costs, as the synth said on stderr. */
  readonly warnings: readonly string[];
  /**
   * Values for the Helm chart of the engine that these policies need; undefined if it works as it is. For Kyverno they
   * hold the public authorities that Node knows beside yours, since its chart replaces the whole trust store.
   */
  readonly engineValues: object | undefined;

  constructor(scope: Construct, id: string, props: ImageSwapperProps) {
    super(scope, id);
    const { config, engine, tls, url, caBundle, caConfigMap, networkPolicy = true, ...policy } = props;
    const transport = render(scope, id, () =>
      transportOf({
        engine,
        ...(tls !== undefined && { tls }),
        ...(url !== undefined && { url }),
        ...(caBundle !== undefined && { caBundle }),
        ...(caConfigMap !== undefined && { caConfigMap }),
        // Kyverno's chart replaces the whole trust store.
        publicRoots: rootCertificates.join('\n'),
        networkPolicy,
        failClosed: policy.failClosed === true,
      }),
    );
    const [targets, filters] = render(scope, id, () => [targetsOf(config), filtersOf(config)]);
    this.addPolicies(engine, { ...policy, url: transport.url, filters }, targets, transport.ca);
    if (transport.tls === 'plain-http' && networkPolicy) {
      const guard = render(scope, id, () => plainListenerPolicy(transport.url));
      if (guard !== undefined) new ApiObject(this, 'NetworkPolicy', guard);
    }
    this.warnings = transport.warnings;
    this.engineValues = engineValues(engine, props, transport);
    for (const warning of this.warnings) process.emitWarning(`${this.node.path}: ${warning}`, 'ImageSwapper');
  }

  private addPolicies(
    engine: ImageSwapperProps['engine'],
    shared: PolicyProps & { readonly filters: readonly string[] },
    targets: readonly string[],
    { caBundle, caConfigMap }: Transport['ca'],
  ): void {
    const ca = { ...(caBundle !== undefined && { caBundle }) };
    switch (engine) {
      case 'kyverno':
        new KyvernoMutatingPolicy(this, 'Policy', { ...shared, targets });
        return;
      case 'kyverno-clusterpolicy': {
        const configMap = { ...(caConfigMap !== undefined && { caConfigMap }) };
        new KyvernoClusterPolicy(this, 'Policy', { ...shared, targets, ...ca, ...configMap });
        return;
      }
      case 'webhook':
        new MutatingWebhook(this, 'Policy', { ...shared, targets, ...ca });
        return;
      case 'gatekeeper':
        new GatekeeperMutation(this, 'Policy', { ...shared, caBundle: caBundle ?? '' });
    }
  }
}

function engineValues(
  engine: ImageSwapperProps['engine'],
  { timeoutSeconds }: ImageSwapperProps,
  { kyvernoValues }: Transport,
): object | undefined {
  if (engine === 'gatekeeper')
    return gatekeeperChartValues({ ...(timeoutSeconds !== undefined && { timeoutSeconds }) });
  return kyvernoValues;
}
