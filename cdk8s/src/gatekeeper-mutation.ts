import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import { renderGatekeeper } from '../../extension-service/src/core/engines/gatekeeper/mutation.js';
import type { PodProps } from './pod-props.js';
import type { PolicyProps } from './policy-props.js';
import { manifest, render } from './render.js';
import { warnOfTransport } from './warn.js';

export interface GatekeeperMutationProps extends PolicyProps {
  /** PEM text of the authorities that sign the service's certificate; Gatekeeper trusts nothing else here. */
  readonly caBundle: string;
  /**
   * Asks the service's `/v1/gatekeeper/PROFILE`, since Gatekeeper sends it the images and nothing about the Pod.
   * @default none
   */
  readonly profile?: string;
  /**
   * The configuration's `source.filters`, in order. Those about namespaces and labels become the mutators' `match`; those
   * about `container.image` alone stay with the service; any other stops the synth, since Gatekeeper shows the service
   * nothing but images. Not with `profile`.
   * @default none
   */
  readonly filters?: readonly string[];
  /**
   * Other keys of the configuration that the policy depends on; the same as the service's.
   * @default the configuration's defaults
   */
  readonly pods?: PodProps;
  /**
   * Also the images of ephemeral containers. Gatekeeper cannot tell new ones from existing ones: adding a second one to
   * a Pod is refused by the API server if the answer for the first has changed since.
   * @default false
   */
  readonly ephemeralContainers?: boolean;
}

/**
 * Gatekeeper's (3.23 or newer) `Provider` and one `Assign` for each list of containers. Gatekeeper cannot check the
 * service's answers, so nothing but the service keeps images in their targets.
 */
export class GatekeeperMutation extends Construct {
  /** The `Provider`. */
  readonly provider: ApiObject;
  /** The `Assign` of each list, named so that it runs after other people's. */
  readonly assigns: readonly ApiObject[];

  constructor(scope: Construct, id: string, props: GatekeeperMutationProps) {
    super(scope, id);
    const [provider, ...assigns] = render(scope, id, () => renderGatekeeper(props));
    this.provider = new ApiObject(this, 'Provider', manifest(provider));
    this.assigns = assigns.map((assign) => new ApiObject(this, assign.metadata.name, manifest(assign)));
    this.assigns.forEach((assign) => assign.addDependency(this.provider));
    warnOfTransport(this, { engine: 'gatekeeper', ...props });
  }
}
