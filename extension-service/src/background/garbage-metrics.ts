import type { TargetGarbage } from '../kubernetes/usage/garbage-task.js';
import type { Metrics } from '../telemetry/metrics.js';

/** Shows how many installations write each target's usage record; nothing if another replica leads. */
export function showUsageWriters(metrics: Metrics, writers: ReadonlyMap<string, number>): void {
  metrics.usageWriters.reset();
  for (const [target, count] of writers) metrics.usageWriters.set({ target }, count);
}

/** Shows a run of the garbage collection; nothing if another replica leads. */
export function showGarbage(metrics: Metrics, results: readonly TargetGarbage[]): void {
  metrics.gcRefusals.reset();
  for (const { target, refusals, deleted } of results) {
    metrics.gcRefusals.set({ target }, refusals.length);
    metrics.gcDeleted.inc({ target }, deleted);
  }
}
