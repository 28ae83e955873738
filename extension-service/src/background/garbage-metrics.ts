import type { TargetGarbage } from '../kubernetes/usage/garbage-task.js';
import type { Metrics } from '../telemetry/metrics.js';

/** Shows a run of the garbage collection; nothing if another replica leads. */
export function showGarbage(metrics: Metrics, results: readonly TargetGarbage[]): void {
  metrics.gcRefusals.reset();
  for (const { target, refusals, deleted } of results) {
    metrics.gcRefusals.set({ target }, refusals.length);
    metrics.gcDeleted.inc({ target }, deleted);
  }
}
