import type { Mirror } from '../core/decide/decide.js';
import { imagePullSecretNames, serviceAccountName } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';
import { formatReference } from '../core/image/reference.js';
import { mirrorJobKey } from './job.js';
import type { MirrorJob, PullContext } from './job.js';

/** The copy that a decision asks for. */
export function mirrorJob(mirror: Mirror, pull?: PullContext): MirrorJob {
  return {
    key: mirrorJobKey(mirror.reference, mirror.target.platforms),
    source: formatReference(mirror.source),
    target: mirror.target.config.name,
    reference: mirror.reference,
    platforms: mirror.target.platforms,
    force: mirror.target.copyPolicy === 'force' || wantsFresh(mirror),
    ...(pull !== undefined && { pull }),
  };
}

/** `imagePullPolicy: Always` on a tag asks for what the tag means now; the copier compares digests and sends nothing that is equal. */
export function wantsFresh(mirror: Mirror): boolean {
  return mirror.container.imagePullPolicy === 'Always' && mirror.source.digest === undefined;
}

/** Whose pull secrets may read the images of a Pod. */
export function pullContext(pod: JsonObject, namespace: string): PullContext {
  return { namespace, serviceAccount: serviceAccountName(pod), secretNames: imagePullSecretNames(pod) };
}
