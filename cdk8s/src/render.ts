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

/** The type that cdk8s accepts, which is open. */
export function manifest(object: RenderedObject): ApiObjectProps {
  const { name, labels = {}, annotations = {} } = object.metadata;
  return { ...object, metadata: { name, labels: { ...labels }, annotations: { ...annotations } } };
}
