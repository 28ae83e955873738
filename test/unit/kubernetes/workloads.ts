import type { ObjectReference } from '../../../extension-service/src/kubernetes/object-reference.js';
import type { CopyReport } from '../../../extension-service/src/kubernetes/copy-report.js';
import type { FailureReason } from '../../../extension-service/src/registry/copy-failure.js';
import type { MirrorJob, PullContext } from '../../../extension-service/src/core/decide/mirror-job.js';

export function objectReference(name: string, kind = 'Pod', namespace = 'team-a'): ObjectReference {
  return { apiVersion: 'v1', kind, namespace, name, uid: `uid-of-${name}` };
}

export function pullOf(namespace: string, ...secretNames: string[]): PullContext {
  return { namespace, serviceAccount: 'default', secretNames };
}

/** A copy job for the image `name:1`, or for `name@sha256:…`. */
export function imageJob(name: string, pull?: PullContext, more: Partial<MirrorJob> = {}): MirrorJob {
  const text = `mirror.test/docker.io/library/${name}:1`;
  return {
    key: `${text} all`,
    source: `docker.io/library/${name}:1`,
    target: 'default',
    reference: {
      ...{ registry: 'mirror.test', repository: `docker.io/library/${name}`, text },
      ...{ tag: '1', shownAs: '1', published: '1' },
    },
    platforms: 'all',
    force: false,
    ...(pull !== undefined && { pull }),
    ...more,
  };
}

export function succeeded(job: MirrorJob, upToDate = false): CopyReport {
  return { job, result: { ok: true, upToDate, digest: `sha256:${'a'.repeat(64)}` } };
}

export function failedBy(job: MirrorJob, reason: FailureReason, nextTry?: number): CopyReport {
  const failure = { reason, message: reason, retryable: nextTry !== undefined };
  return { job, result: { ok: false, failure, ...(nextTry !== undefined && { nextTry }) } };
}
