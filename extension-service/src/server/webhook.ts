import { imagesAnswer } from '../core/decide/answer.js';
import { additionPatches } from '../core/decide/pod-additions.js';
import { isObject } from '../core/decide/pod.js';
import type { AdmissionRequest, AdmissionResult } from './admission.js';
import { BadRequestError, parseAdmissionRequest, parseJson } from './admission-request.js';
import type { Answer } from './answer.js';
import { json, plainText } from './answer.js';

const VERSIONS: readonly unknown[] = ['admission.k8s.io/v1', 'admission.k8s.io/v1beta1'];

/**
 * `POST /webhook`: an AdmissionReview, answered in its own version (k8s-image-swapper's chart uses v1beta1). Always
 * `allowed: true` with patches of images only, except for a failed copy with `imageCopyFailure: deny` and for Pods that
 * `source.directTarget: refuse` refuses. Unreadable requests are allowed unchanged, with a warning that kubectl shows.
 */
export async function answerWebhook(
  body: string,
  review: (request: AdmissionRequest) => Promise<AdmissionResult>,
): Promise<Answer> {
  const sent = parseJson(body, 'the body');
  if (!isObject(sent) || sent['kind'] !== 'AdmissionReview' || !VERSIONS.includes(sent['apiVersion'])) {
    const message = 'the body is not an AdmissionReview of admission.k8s.io/v1 or v1beta1';
    throw new BadRequestError('invalid_request', message);
  }
  const uid = isObject(sent['request']) && typeof sent['request']['uid'] === 'string' ? sent['request']['uid'] : '';
  const answer = (response: Record<string, unknown>): Answer =>
    json({ apiVersion: sent['apiVersion'], kind: 'AdmissionReview', response: { uid, ...response } });

  let request: AdmissionRequest | undefined;
  try {
    request = parseAdmissionRequest(sent['request']);
  } catch (error) {
    if (!(error instanceof BadRequestError)) throw error;
    return answer({
      allowed: true,
      warnings: [plainText(`image-swapper left the object unchanged: ${error.message}`)],
    });
  }
  if (request === undefined) return answer({ allowed: true });
  const result = await review(request);
  if (result.denied !== undefined) {
    const { kind, container, message, status } = result.denied;
    return answer({
      allowed: false,
      status: {
        code: status,
        reason: status === 403 ? 'Forbidden' : 'InternalError',
        message: plainText(`image-swapper: ${kind} ${container}: ${message}`),
      },
    });
  }
  const patches = [...imagesAnswer(result.swaps).patches, ...additionPatches(request.pod, result.additions ?? {})];
  if (patches.length === 0) return answer({ allowed: true });
  const patch = Buffer.from(JSON.stringify(patches)).toString('base64');
  return answer({ allowed: true, patchType: 'JSONPatch', patch });
}
