import { ApiObject, Chart, JsonPatch } from 'cdk8s';
import type { ApiObjectProps } from 'cdk8s';
import type { Construct } from 'constructs';
import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';

/** The part of the renderers' result that is used here: the published declarations must not name the core's types. */
export interface RenderedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/**
 * Renders, and adds the construct's path to the error for a rejected prop.
 *
 * @param origins where users wrote props that do not come from the construct, by the prop's name
 */
export function render<Result>(
  scope: Construct,
  id: string,
  renderer: () => Result,
  origins: Readonly<Record<string, string>> = {},
): Result {
  try {
    return renderer();
  } catch (error) {
    // An inner construct has already added its own path.
    const problem = error instanceof Error && error.cause !== undefined ? error.cause : error;
    if (!(problem instanceof InvalidPolicyOptionError)) throw error;
    const path = [scope.node.path, id].filter((part) => part !== '').join('/');
    const option = problem.option.replace(/^\w+/, (prop) => origins[prop] ?? prop);
    throw new Error(`${path}: props.${option}: ${problem.reason}`, { cause: error });
  }
}

/**
 * The object as cdk8s accepts it.
 *
 * @throws Error if the chart already has an object of this kind and name, which this one would replace in the cluster
 */
export function manifest(scope: Construct, id: string, object: RenderedObject): ApiObjectProps {
  const { name, labels = {}, annotations = {} } = object.metadata;
  const twin = Chart.of(scope)
    .node.findAll()
    .find((other) => other instanceof ApiObject && other.kind === object.kind && other.name === name);
  if (twin !== undefined) {
    const path = [scope.node.path, id].filter((part) => part !== '').join('/');
    throw new Error(
      `${path}: props.name: ${twin.node.path} already renders a ${object.kind} named ${name}, which this one would replace; ` +
        'give each its own name',
    );
  }
  return { ...object, metadata: { name, labels: { ...labels }, annotations: { ...annotations } } };
}

/** Renders one object, as `render` and `manifest` do. */
export function renderedManifest(scope: Construct, id: string, renderer: () => RenderedObject): ApiObjectProps {
  return manifest(scope, id, render(scope, id, renderer));
}

/** Removes the namespace that cdk8s gives every object of a chart with a namespace: all policies are cluster-scoped. */
export function clusterScoped<Policy extends ApiObject>(policy: Policy): Policy {
  if (policy.metadata.namespace !== undefined) policy.addJsonPatch(JsonPatch.remove('/metadata/namespace'));
  return policy;
}
