import type { OnRegistryRequest } from '../registry/request-log.js';
import { RequestTally } from '../registry/request-tally.js';
import type { RequestReport } from '../registry/request-tally.js';
import type { Metrics } from './metrics.js';

/** Counts requests of this thread, and what other threads report of theirs. */
export function requestMetrics(metrics: Metrics): {
  readonly onRequest: OnRegistryRequest;
  readonly onReport: (report: RequestReport) => void;
} {
  const onReport = ({ counts, remaining }: RequestReport): void => {
    for (const { registry, action, code, count } of counts) {
      metrics.registryRequests.inc({ registry, action, code }, count);
      if (code === '429') metrics.registryThrottled.inc({ registry }, count);
    }
    for (const { registry, pulls } of remaining) metrics.rateLimitRemaining.set({ registry }, pulls);
  };
  return {
    onReport,
    onRequest: (request) => {
      const tally = new RequestTally();
      tally.add(request);
      const report = tally.take();
      if (report !== undefined) onReport(report);
    },
  };
}
