import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import { CopyFailedError, mayBeCredentials } from '../registry/copy-failure.js';

/** Whether the API server has shown a Pod, or a workload, that uses the image with the job's pull context. */
export type IsPodObserved = (job: MirrorJob) => Promise<boolean>;

/**
 * The job with the pull secrets that an unauthenticated request names, after a copy without them was rejected.
 * Undefined unless the API server shows such a Pod: a forged request cannot use secrets.
 */
export async function withObservedSecrets(
  job: MirrorJob,
  error: unknown,
  isShown: IsPodObserved,
): Promise<MirrorJob | undefined> {
  const { pull } = job;
  if (pull?.unproven !== true || !(error instanceof CopyFailedError)) return undefined;
  if (!mayBeCredentials(error.failure)) return undefined;
  if (!(await isShown(job).catch(() => false))) return undefined;
  const { namespace, serviceAccount, secretNames } = pull;
  return { ...job, pull: { namespace, serviceAccount, secretNames } };
}

/** A hint for a copy that a registry rejected because no secret was used. */
export function notObservedHint({ namespace }: PullContext): string {
  return (
    `; the caller is not authenticated, so pull secrets are used only once the service sees a Pod in namespace ${namespace} ` +
    'that uses the image; to use them at once, set auth or tls.clients for the route'
  );
}
