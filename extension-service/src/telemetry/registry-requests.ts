import type { OnRegistryRequest } from '../registry/request-log.js';
import { RequestTally } from '../registry/request-tally.js';
import type { RequestReport } from '../registry/request-tally.js';
import type { Metrics } from './metrics.js';

/** Counts requests of this thread, and those that other threads report. */
export function requestMetrics(metrics: Metrics): {
  readonly onRequest: OnRegistryRequest;
  readonly onReport: (report: RequestReport) => void;
} {
  const onReport = ({ counts, remaining, pulls }: RequestReport): void => {
    for (const { registry, action, code, count } of counts) {
      metrics.registryRequests.inc({ registry, action, code }, count);
      if (code === '429') metrics.registryThrottled.inc({ registry }, count);
    }
    for (const { registry, pulls: left } of remaining) metrics.rateLimitRemaining.set({ registry }, left);
    for (const { registry, count } of pulls) metrics.registryPulls.inc({ registry }, count);
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
