import { imagesAnswer } from '../core/decide/answer.js';
import { isObject } from '../core/decide/pod.js';
import type { AdmissionResult } from './admission.js';
import type { AdmissionRequest } from './admission.js';
import { BadRequestError, parseAdmissionRequest, parseJson } from './admission-request.js';
import type { Answer } from './answer.js';
import { errorAnswer, json } from './answer.js';

/**
 * `POST /v1/kyverno`: `{"request": AdmissionRequest}`, as an object from a MutatingPolicy and as a JSON string from a
 * ClusterPolicy's `to_string(request)`. The answer's top-level keys are only `images` and `patches`, because Kyverno's
 * CEL adds `statusCode` and `body` to them.
 */
export async function answerKyverno(
  body: string,
  review: (request: AdmissionRequest) => Promise<AdmissionResult>,
): Promise<Answer> {
  const outer = parseJson(body, 'the body');
  if (!isObject(outer) || outer['request'] === undefined) {
    throw new BadRequestError('invalid_request', 'the body has no "request": send {"request": <AdmissionRequest>}');
  }
  const sent = outer['request'];
  // A ClusterPolicy with a caBundle opens a connection per call and leaves it idle for 90 s, so it is closed at once.
  const close = typeof sent === 'string';
  const request = parseAdmissionRequest(close ? parseJson(sent, 'request') : sent);
  if (request === undefined) return { ...json(imagesAnswer([])), close };
  const result = await review(request);
  if (result.denied !== undefined) {
    const { kind, container, message, status } = result.denied;
    const code = status === 403 ? 'pod_refused' : 'copy_failed';
    return { ...errorAnswer(status, code, `${kind} ${container}: ${message}`), close };
  }
  const { additions = {} } = result;
  const pod = Object.keys(additions).length === 0 ? {} : { pod: additions };
  return { ...json({ ...imagesAnswer(result.swaps), ...pod }), close };
}
