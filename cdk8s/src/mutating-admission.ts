import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import { renderMutatingAdmission } from '../../extension-service/src/core/engines/mutating-admission-policy/admission-policy.js';
import { staticTargets } from '../../extension-service/src/core/engines/mutating-admission-policy/static-target.js';
import type { PolicyProps } from './policy-props.js';
import { clusterScoped, manifest, render } from './render.js';
import type { RenderedObject } from './render.js';

export interface MutatingAdmissionProps extends Omit<PolicyProps, 'url' | 'timeoutSeconds'> {
  /**
   * Prefixes of image references, each ending in `/`. Images of Pods are swapped to the first one:
   * `registry.example.com/mirror/` and the fully normalized source. Images with any of these prefixes stay as they are.
   */
  readonly targets: readonly string[];
  /**
   * The configuration's `source.filters`, in order. A filter that CEL cannot evaluate exactly as the service does stops
   * the synth. Also adds the configuration's hash to the policy.
   * @default none
   */
  readonly filters?: readonly string[];
}

/**
 * A `MutatingAdmissionPolicy` (Kubernetes 1.36 or newer) and its binding: the API server swaps images without a
 * service, as with `imageSwapPolicy: always`. Every image must already be in the target.
 */
export class MutatingAdmission extends Construct {
  constructor(scope: Construct, id: string, props: MutatingAdmissionProps) {
    super(scope, id);
    const { targets, ...options } = props;
    const objects = render(scope, id, () => renderMutatingAdmission({ ...options, targets: staticTargets(targets) }));
    addObjects(this, objects);
  }
}

/** The policy and its binding, each under its kind's name. */
export function addObjects(scope: Construct, objects: readonly RenderedObject[]): void {
  for (const object of objects) {
    clusterScoped(new ApiObject(scope, object.kind, manifest(scope, object.kind, object)));
  }
}
