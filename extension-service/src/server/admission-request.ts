import type { JsonObject } from '../core/decide/pod.js';
import { isNamespaceName } from '../core/decide/kubernetes-names.js';
import { isObject } from '../core/decide/pod.js';
import { quoteInput } from '../core/image/quote.js';
import type { AdmissionRequest } from './admission.js';
import { JsonBoundsError, parseBoundedJson } from '../core/json-bounds.js';

/** An invalid request; its message is returned to the caller. */
export class BadRequestError extends Error {
  override readonly name = 'BadRequestError';
  constructor(
    readonly code: 'invalid_json' | 'invalid_request' | 'wrong_kind',
    message: string,
  ) {
    super(message);
  }
}

export function parseJson(text: string, what: string): unknown {
  try {
    return parseBoundedJson(text);
  } catch (error) {
    if (error instanceof JsonBoundsError) throw new BadRequestError('invalid_json', `${what}: ${error.message}`);
    // V8's message quotes the text, which may contain anything, including secrets.
    const reason =
      error instanceof Error ? error.message.replace(/(?:\.\.\.)?".*"(?:\.\.\.)?/s, 'the text').slice(0, 120) : '';
    throw new BadRequestError('invalid_json', `${what} is not JSON: ${reason}`);
  }
}

/**
 * Parses a Kubernetes AdmissionRequest (admission.k8s.io v1 or v1beta1: the fields used here are the same). Engines
 * omit fields: the Kyverno command line sends only namespace, operation, object and userInfo.
 *
 * @returns undefined if there is no object to change (DELETE)
 */
export function parseAdmissionRequest(value: unknown): AdmissionRequest | undefined {
  if (!isObject(value)) throw new BadRequestError('invalid_request', 'request is not an AdmissionRequest object');
  const operation = typeof value['operation'] === 'string' && value['operation'] !== '' ? value['operation'] : 'CREATE';
  const object = value['object'];
  if (operation === 'DELETE' || operation === 'CONNECT') return undefined;
  if (!isObject(object))
    throw new BadRequestError('invalid_request', 'request.object is missing: there is no Pod to check');
  requirePod(value, object);
  const metadata = isObject(object['metadata']) ? object['metadata'] : {};
  const namespace = [value['namespace'], metadata['namespace']].find((name) => typeof name === 'string' && name !== '');
  if (typeof namespace === 'string' && !isNamespaceName(namespace)) {
    throw new BadRequestError('invalid_request', `request.namespace ${quoteInput(namespace)} is not a Kubernetes name`);
  }
  return {
    uid: typeof value['uid'] === 'string' ? value['uid'] : '',
    operation,
    namespace: typeof namespace === 'string' ? namespace : '',
    dryRun: value['dryRun'] === true,
    pod: object,
    ...(isObject(value['oldObject']) && { oldPod: value['oldObject'] }),
  };
}

function requirePod(request: JsonObject, object: JsonObject): void {
  const kind = isObject(request['kind']) ? request['kind']['kind'] : object['kind'];
  if (kind !== undefined && kind !== 'Pod') {
    const seen = typeof kind === 'string' ? kind.slice(0, 63) : typeof kind;
    throw new BadRequestError(
      'wrong_kind',
      `request is for kind ${seen}, but only Pods are swapped; match Pods in the policy`,
    );
  }
  const spec = object['spec'];
  if (!isObject(spec) || !Array.isArray(spec['containers']) || spec['containers'].length === 0) {
    throw new BadRequestError(
      'invalid_request',
      'request.object.spec.containers is missing or empty: this is not a Pod',
    );
  }
}
