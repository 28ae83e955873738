import type { CloudEvent } from '../kinds/cloud.js';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';

/** Logs and counts what happens at the clouds' APIs. */
export function cloudEvents(log: Logger, metrics: Metrics): (event: CloudEvent) => void {
  return (event) => {
    const { registry } = event;
    switch (event.kind) {
      case 'login':
        metrics.logins.inc({ registry, outcome: event.outcome });
        if (event.outcome === 'renewed') {
          metrics.loginExpiry.set({ registry }, event.expires / 1_000);
          log.debug({ registry, expires: new Date(event.expires).toISOString() }, 'logged in');
        } else log.warn({ registry }, event.message);
        return;
      case 'repository': {
        const { repository, action, outcome, message } = event;
        metrics.repositories.inc({ registry, action, outcome });
        if (message !== undefined) log.warn({ registry, repository, action, outcome }, message);
        else log.info({ registry, repository, action, outcome }, 'repository');
        return;
      }
      case 'drift':
        metrics.repositoryDrift.set({ registry }, event.repositories);
    }
  };
}
