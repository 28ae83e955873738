import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/**
 * The service's metrics, in a registry of its own. Labels are bounded: route, target, outcome, reason; never an image,
 * which would make a time series of every Pod.
 */
export interface Metrics {
  readonly registry: Registry;
  readonly requests: Counter<'route' | 'outcome'>;
  readonly requestSeconds: Histogram<'route'>;
  readonly containers: Counter<'target' | 'outcome'>;
  readonly filterWarnings: Counter<'kind'>;
  readonly policyMismatches: Counter<'route'>;
  readonly lookups: Counter<'target' | 'outcome'>;
  readonly copies: Counter<'target' | 'outcome'>;
  readonly copySeconds: Histogram<'target'>;
  readonly copyBytes: Counter<'target' | 'kind'>;
  readonly queueDepth: Gauge<'state'>;
  readonly configReloadSuccess: Counter;
  readonly configReloadFailure: Counter;
  readonly tlsReloads: Counter<'outcome'>;
  readonly tlsExpiry: Gauge;
  readonly logins: Counter<'registry' | 'outcome'>;
  readonly loginExpiry: Gauge<'registry'>;
  readonly repositories: Counter<'registry' | 'action' | 'outcome'>;
  readonly repositoryDrift: Gauge<'registry'>;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    requests: new Counter({
      name: 'image_swapper_resolve_requests_total',
      help: 'Admission requests by route and outcome',
      labelNames: ['route', 'outcome'],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'image_swapper_resolve_duration_seconds',
      help: 'Time from the whole request read to its answer',
      labelNames: ['route'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 5, 10],
      registers,
    }),
    containers: new Counter({
      name: 'image_swapper_containers_total',
      help: 'Containers decided, by target and outcome',
      labelNames: ['target', 'outcome'],
      registers,
    }),
    filterWarnings: new Counter({
      name: 'image_swapper_filter_warnings_total',
      help: 'Filter results that were an error or not a boolean',
      labelNames: ['kind'],
      registers,
    }),
    policyMismatches: new Counter({
      name: 'image_swapper_policy_mismatches_total',
      help: 'Admission requests from policies that were rendered for another configuration',
      labelNames: ['route'],
      registers,
    }),
    lookups: new Counter({
      name: 'image_swapper_lookups_total',
      help: 'Answers to "is it in the target?", by how it was known',
      labelNames: ['target', 'outcome'],
      registers,
    }),
    copies: new Counter({
      name: 'image_swapper_copy_jobs_total',
      help: 'Copies ended, by target and outcome',
      labelNames: ['target', 'outcome'],
      registers,
    }),
    copySeconds: new Histogram({
      name: 'image_swapper_copy_duration_seconds',
      help: 'Time of one copy',
      labelNames: ['target'],
      buckets: [0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800],
      registers,
    }),
    copyBytes: new Counter({
      name: 'image_swapper_copy_bytes_total',
      help: 'Blob bytes by how they reached the target: uploaded, mounted, skipped',
      labelNames: ['target', 'kind'],
      registers,
    }),
    queueDepth: new Gauge({
      name: 'image_swapper_queue_depth',
      help: 'Copies queued, running, or waiting for their next try',
      labelNames: ['state'],
      registers,
    }),
    configReloadSuccess: new Counter({
      name: 'image_swapper_config_reload_success_total',
      help: 'Changes of the configuration file that came into force',
      registers,
    }),
    configReloadFailure: new Counter({
      name: 'image_swapper_config_reload_failure_total',
      help: 'Changes of the configuration file that were refused; the configuration before stays in force',
      registers,
    }),
    tlsReloads: new Counter({
      name: 'image_swapper_tls_reloads_total',
      help: 'Reloads of the serving certificate by outcome',
      labelNames: ['outcome'],
      registers,
    }),
    tlsExpiry: new Gauge({
      name: 'image_swapper_tls_certificate_expiry_timestamp_seconds',
      help: 'When the serving certificate ends',
      registers,
    }),
    logins: new Counter({
      name: 'image_swapper_auth_refresh_total',
      help: 'Logins to registries of clouds by outcome',
      labelNames: ['registry', 'outcome'],
      registers,
    }),
    loginExpiry: new Gauge({
      name: 'image_swapper_auth_token_expiry_timestamp_seconds',
      help: 'When the login to a registry of a cloud ends',
      labelNames: ['registry'],
      registers,
    }),
    repositories: new Counter({
      name: 'image_swapper_repository_operations_total',
      help: 'Repositories created and policies applied, by outcome',
      labelNames: ['registry', 'action', 'outcome'],
      registers,
    }),
    repositoryDrift: new Gauge({
      name: 'image_swapper_repository_drift',
      help: 'Repositories whose policies are not those of the configuration',
      labelNames: ['registry'],
      registers,
    }),
  };
}
