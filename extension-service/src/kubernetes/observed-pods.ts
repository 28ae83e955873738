import { setTimeout as sleep } from 'node:timers/promises';
import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import { pullContext } from '../core/decide/mirror-job.js';
import { isNamespaceName } from '../core/decide/kubernetes-names.js';
import { isObject, podContainers } from '../core/decide/pod.js';
import { InvalidReferenceError, formatReference, parseReference } from '../core/image/reference.js';
import type { ClusterAccess } from './api.js';
import { callOptions } from './call-options.js';

/** A Pod is created milliseconds after its admission; a watch may be seconds behind. */
const PAUSES_MS: readonly number[] = [100, 400, 1_000];
/** Maximum Pods of a namespace to search; the watch knows the others. */
const MAX_PODS = 500;

export interface ObservedPodsOptions {
  /** Whether the watch of the workloads has shown such a Pod; undefined if nothing is watched. */
  readonly watched: (job: MirrorJob) => boolean | undefined;
  /** Undefined outside a cluster. */
  readonly connect: () => Promise<ClusterAccess | undefined>;
  readonly onProblem: (message: string) => void;
  readonly pauses?: readonly number[];
}

/** Whether the API server knows a Pod that uses an image with certain pull secrets, as a request claims. */
export class ObservedPods {
  private problem: string | undefined;

  constructor(private readonly options: ObservedPodsOptions) {}

  async isShown(job: MirrorJob): Promise<boolean> {
    const { pull } = job;
    if (pull === undefined || !isNamespaceName(pull.namespace)) return false;
    // Outside a cluster there is no Pod to wait for.
    const connected = await this.options.connect().catch(() => undefined);
    if (connected === undefined && this.options.watched(job) === undefined) return false;
    const pauses = this.options.pauses ?? PAUSES_MS;
    for (const [index, pause] of pauses.entries()) {
      await sleep(pause);
      const watched = this.options.watched(job);
      if (watched === true) return true;
      // The watch does not cover every namespace, and needs some time.
      const isLast = index === pauses.length - 1;
      if ((watched === undefined || isLast) && (await this.isListed(job, pull))) return true;
    }
    return false;
  }

  private async isListed(job: MirrorJob, pull: PullContext): Promise<boolean> {
    try {
      const cluster = await this.options.connect();
      if (cluster === undefined) return false;
      const { namespace } = pull;
      const request = cluster.core.listNamespacedPod({ namespace, limit: MAX_PODS }, await callOptions());
      const { items } = await request;
      this.problem = undefined;
      return items.some((pod) => uses(pod, job, pull));
    } catch (error) {
      this.report(pull.namespace, error);
      return false;
    }
  }

  private report(namespace: string, error: unknown): void {
    const code = (error as { readonly code?: unknown }).code;
    const problem = typeof code === 'number' ? `status ${code}` : error instanceof Error ? error.name : 'no answer';
    if (problem === this.problem) return;
    this.problem = problem;
    this.options.onProblem(
      `the Pods of namespace ${namespace} cannot be listed (${problem}): pull secrets named by unauthenticated callers are not used`,
    );
  }
}

/** Whether the Pod names the source, or its mirror, and may pull with the same secrets. */
function uses(pod: unknown, { source, reference }: MirrorJob, claimed: PullContext): boolean {
  if (!isObject(pod)) return false;
  if (keyOf(pullContext(pod, claimed.namespace)) !== keyOf(claimed)) return false;
  return podContainers(pod).some(({ image }) => image === reference.text || normalized(image) === source);
}

function keyOf({ serviceAccount, secretNames }: PullContext): string {
  return [serviceAccount, ...secretNames].join('\n');
}

function normalized(image: string): string | undefined {
  try {
    return formatReference(parseReference(image));
  } catch (error) {
    if (error instanceof InvalidReferenceError) return undefined;
    throw error;
  }
}
