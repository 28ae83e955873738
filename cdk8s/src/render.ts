import type { ApiObjectProps } from 'cdk8s';
import type { Construct } from 'constructs';
import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';

/** The part of the renderers' result that matters here: the published declarations must not name the core's types. */
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
 * Renders, and says of a refused prop which construct it was given to.
 *
 * @param origins of props that the construct has from elsewhere: where people wrote them, by the prop's name
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
    // A construct inside has said its own path already.
    const problem = error instanceof Error && error.cause !== undefined ? error.cause : error;
    if (!(problem instanceof InvalidPolicyOptionError)) throw error;
    const path = [scope.node.path, id].filter((part) => part !== '').join('/');
    const option = problem.option.replace(/^\w+/, (prop) => origins[prop] ?? prop);
    throw new Error(`${path}: props.${option}: ${problem.reason}`, { cause: error });
  }
}

/** As cdk8s takes it, whose own type is open. */
export function manifest(object: RenderedObject): ApiObjectProps {
  const { name, labels = {}, annotations = {} } = object.metadata;
  return { ...object, metadata: { name, labels: { ...labels }, annotations: { ...annotations } } };
}
