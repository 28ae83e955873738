import { isObject } from '../../core/decide/pod.js';
import type { Json, JsonObject } from '../../core/decide/pod.js';

/** A kind of object that runs images, now or later. */
export interface WorkloadKind {
  readonly kind: string;
  readonly apiVersion: string;
  /** API path of the list over all namespaces. */
  readonly path: string;
  /** The Pod that the object is or would create; undefined if it no longer needs its images. */
  pod(object: JsonObject): JsonObject | undefined;
}

/** All kinds whose images must be in the targets, including ReplicaSets that are kept for a rollback. */
export const WORKLOAD_KINDS: readonly WorkloadKind[] = [
  { kind: 'Pod', apiVersion: 'v1', path: '/api/v1/pods', pod: (pod) => (hasEnded(pod) ? undefined : pod) },
  ...['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet'].map((kind) => ({
    kind,
    apiVersion: 'apps/v1',
    path: `/apis/apps/v1/${kind.toLowerCase()}s`,
    pod: (object: JsonObject) => templateOf(object['spec']),
  })),
  {
    kind: 'Job',
    apiVersion: 'batch/v1',
    path: '/apis/batch/v1/jobs',
    pod: (job) => (jobHasEnded(job) ? undefined : templateOf(job['spec'])),
  },
  {
    kind: 'CronJob',
    apiVersion: 'batch/v1',
    path: '/apis/batch/v1/cronjobs',
    pod: ({ spec }) => {
      const job = isObject(spec) ? spec['jobTemplate'] : undefined;
      return isObject(job) ? templateOf(job['spec']) : undefined;
    },
  },
];

function templateOf(spec: Json | undefined): JsonObject | undefined {
  const template = isObject(spec) ? spec['template'] : undefined;
  return isObject(template) ? template : undefined;
}

/** Containers of such a Pod never start again. */
function hasEnded({ status }: JsonObject): boolean {
  const phase = isObject(status) ? status['phase'] : undefined;
  return phase === 'Succeeded' || phase === 'Failed';
}

function jobHasEnded({ status }: JsonObject): boolean {
  const conditions = isObject(status) && Array.isArray(status['conditions']) ? status['conditions'] : [];
  return conditions.some(
    (condition: Json) =>
      isObject(condition) &&
      (condition['type'] === 'Complete' || condition['type'] === 'Failed') &&
      condition['status'] === 'True',
  );
}
