import type { WatchReport } from '../kubernetes/workloads/watch-reports.js';
import type { Metrics } from '../telemetry/metrics.js';

/** The report of a worker that ended. */
export const EMPTY_WATCH_REPORT: WatchReport = {
  up: {},
  restarts: {},
  movedTags: {},
  images: 0,
  unknown: 0,
  vanished: {},
};

/** Shows what the copying replica sees of the cluster. */
export function showWatches(
  metrics: Metrics,
  { up, restarts, movedTags: moved, images, unknown, vanished }: WatchReport,
): void {
  metrics.watchUp.reset();
  for (const [kind, isUp] of Object.entries(up)) metrics.watchUp.set({ kind }, isUp ? 1 : 0);
  for (const [kind, count] of Object.entries(restarts)) metrics.watchRestarts.inc({ kind }, count);
  for (const [target, count] of Object.entries(moved)) metrics.refreshDrift.inc({ target }, count);
  metrics.vanishedSources.reset();
  for (const [target, count] of Object.entries(vanished)) metrics.vanishedSources.set({ target }, count);
  metrics.wantedImages.set(images);
  metrics.unknownImages.set(unknown);
}
