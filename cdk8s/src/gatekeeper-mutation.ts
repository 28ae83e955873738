import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import { renderGatekeeper } from '../../extension-service/src/core/engines/gatekeeper/mutation.js';
import type { PodProps } from './pod-props.js';
import type { PolicyProps } from './policy-props.js';
import { clusterScoped, manifest, render } from './render.js';
import { warnOfTransport } from './warn.js';

export interface GatekeeperMutationProps extends PolicyProps {
  /** CA certificates (PEM) that sign the service's certificate; Gatekeeper trusts no others here. */
  readonly caBundle: string;
  /**
   * Calls the service's `/v1/gatekeeper/PROFILE`, since Gatekeeper sends it only images and no Pod.
   * @default none
   */
  readonly profile?: string;
  /**
   * The configuration's `source.filters`, in order. Filters on namespaces and labels become the mutators' `match`;
   * filters on `container.image` alone are evaluated by the service; any other filter stops the synth, since Gatekeeper
   * sends the service only images. Not with `profile`.
   * @default none
   */
  readonly filters?: readonly string[];
  /**
   * Other configuration keys that the policy depends on; use the service's values.
   * @default the configuration's defaults
   */
  readonly pods?: PodProps;
  /**
   * Also swap the images of ephemeral containers. Gatekeeper cannot tell new ones from existing ones: the API server
   * refuses to add a second one to a Pod if the answer for the first has changed since.
   * @default false
   */
  readonly ephemeralContainers?: boolean;
}

/**
 * Gatekeeper's `Provider` (3.23 or newer) and one `Assign` for each list of containers. Gatekeeper cannot check the
 * service's answers, so only the service keeps images within the targets.
 */
export class GatekeeperMutation extends Construct {
  /** The `Provider`. */
  readonly provider: ApiObject;
  /** The `Assign` of each list, named so that it runs after those of others. */
  readonly assigns: readonly ApiObject[];

  constructor(scope: Construct, id: string, props: GatekeeperMutationProps) {
    super(scope, id);
    const [provider, ...assigns] = render(scope, id, () => renderGatekeeper(props));
    this.provider = new ApiObject(this, 'Provider', manifest(this, 'Provider', provider));
    this.assigns = assigns.map(
      (assign) => new ApiObject(this, assign.metadata.name, manifest(this, assign.metadata.name, assign)),
    );
    for (const object of [this.provider, ...this.assigns]) clusterScoped(object);
    this.assigns.forEach((assign) => assign.addDependency(this.provider));
    warnOfTransport(this, { engine: 'gatekeeper', ...props });
  }
}
