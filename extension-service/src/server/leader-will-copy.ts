import type { Config } from '../core/config/model.js';
import type { Rules } from '../core/decide/rules.js';
import { isCertain, isReversible } from '../kubernetes/workloads/sources.js';
import type { CopyRequest } from '../mirror/copy-gate.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';

export interface LeaderView {
  readonly config: Pick<Config, 'imageCopyFailure'>;
  readonly rules: Pick<Rules, 'targets'>;
  /** Namespaces that the leader ignores. */
  readonly notWatched: ReadonlySet<string>;
}

/** Whether the leader will make a copy by itself, from what it sees of the Pod. */
export function leaderWillCopy({ config, rules, notWatched }: LeaderView, job: MirrorJob, wish: CopyRequest): boolean {
  if (job.pull !== undefined && notWatched.has(job.pull.namespace)) return false;
  // It never sees a refused Pod.
  if (wish.isAwaited && config.imageCopyFailure === 'deny') return false;
  const naming = rules.targets.find((rule) => rule.config.name === job.target)?.naming;
  if (!wish.swapped || naming === undefined) return true;
  return isReversible(naming, job.reference) && (!job.force || isCertain(naming));
}
