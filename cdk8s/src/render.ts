import type { ApiObjectProps } from 'cdk8s';
import type { Construct } from 'constructs';
import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';

/** What the renderers return, as far as it matters here: the published declarations must not name the core's types. */
export interface RenderedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** Renders, and says of a refused prop which construct it was given to. */
export function render<Result>(scope: Construct, id: string, renderer: () => Result): Result {
  try {
    return renderer();
  } catch (error) {
    if (!(error instanceof InvalidPolicyOptionError)) throw error;
    const path = [scope.node.path, id].filter((part) => part !== '').join('/');
    throw new Error(`${path}: props.${error.message}`, { cause: error });
  }
}

/** As cdk8s takes it, whose own type is open. */
export function manifest(object: RenderedObject): ApiObjectProps {
  const { name, labels = {}, annotations = {} } = object.metadata;
  return { ...object, metadata: { name, labels: { ...labels }, annotations: { ...annotations } } };
}
