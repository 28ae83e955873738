import { isObject } from '../core/decide/pod.js';
import { BadRequestError, parseJson } from './admission-request.js';
import type { Answer } from './answer.js';
import { json } from './answer.js';

const API_VERSION = 'externaldata.gatekeeper.sh/v1beta1';
/** Far above any Pod; a hostile list must not cause endless registry lookups. Further keys are answered unchanged. */
const MAX_KEYS = 1_000;

/**
 * `POST /v1/gatekeeper`: a ProviderRequest with image strings only. Every key is answered, in doubt with itself: with
 * `failurePolicy: Fail` an `error` of one item would reject the Pod. Nothing is copied from here.
 */
export async function answerGatekeeper(
  body: string,
  resolve: (images: readonly string[]) => Promise<readonly string[]>,
): Promise<Answer> {
  const keys = providerKeys(parseJson(body, 'the body'));
  let values: readonly string[] = keys;
  if (keys.length <= MAX_KEYS) {
    try {
      values = await resolve(keys);
    } catch {
      // They stay unchanged.
    }
  }
  const items = keys.map((key, index) => ({ key, value: values[index] ?? key }));
  return json({
    apiVersion: API_VERSION,
    kind: 'ProviderResponse',
    response: { idempotent: true, items, systemError: '' },
  });
}

function providerKeys(value: unknown): string[] {
  const request = isObject(value) && value['kind'] === 'ProviderRequest' ? value['request'] : undefined;
  // Go omits an empty list, or writes null.
  const keys = isObject(request) ? (request['keys'] ?? []) : undefined;
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) {
    throw new BadRequestError(
      'invalid_request',
      `the body is not a ProviderRequest of ${API_VERSION} with request.keys`,
    );
  }
  return keys;
}
