import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/**
 * The service's metrics, in a separate registry. Labels are bounded: route, target, outcome, reason; never an image,
 * which would create a time series for every Pod.
 */
export interface Metrics {
  readonly registry: Registry;
  readonly leader: Gauge;
  readonly requests: Counter<'route' | 'outcome'>;
  readonly requestSeconds: Histogram<'route'>;
  readonly containers: Counter<'target' | 'outcome'>;
  readonly filterWarnings: Counter<'kind'>;
  readonly openRoutes: Gauge<'route'>;
  readonly policyMismatches: Counter<'route'>;
  readonly lookups: Counter<'target' | 'outcome'>;
  readonly lookupHits: Counter<'target'>;
  readonly lookupMisses: Counter<'target'>;
  readonly copies: Counter<'target' | 'outcome'>;
  readonly copySeconds: Histogram<'target'>;
  readonly copyBytes: Counter<'target' | 'kind'>;
  readonly repairs: Counter<'target'>;
  readonly unfinishedReferrers: Counter<'target'>;
  readonly gated: Gauge<'target' | 'verdict'>;
  readonly gateRefusals: Counter<'target' | 'check' | 'verdict'>;
  readonly queueDepth: Gauge<'state'>;
  readonly queueOldestAge: Gauge;
  readonly queueRefused: Counter<'target'>;
  readonly queueServerUp: Gauge<'type'>;
  readonly queueServerReplicas: Gauge<'type'>;
  readonly registryRequests: Counter<'registry' | 'action' | 'code'>;
  readonly registryThrottled: Counter<'registry'>;
  readonly rateLimitRemaining: Gauge<'registry'>;
  readonly registryPulls: Counter<'registry'>;
  readonly configReloadSuccess: Counter;
  readonly configReloadFailure: Counter;
  readonly tlsReloads: Counter<'outcome'>;
  readonly tlsExpiry: Gauge;
  readonly logins: Counter<'registry' | 'outcome'>;
  readonly loginExpiry: Gauge<'registry'>;
  readonly repositories: Counter<'registry' | 'action' | 'outcome'>;
  readonly repositoryDrift: Gauge<'registry'>;
  readonly watchUp: Gauge<'kind'>;
  readonly watchRestarts: Counter<'kind'>;
  readonly refreshDrift: Counter<'target'>;
  readonly vanishedSources: Gauge<'target'>;
  readonly gcRefusals: Gauge<'target'>;
  readonly gcDeleted: Counter<'target'>;
  readonly usageWriters: Gauge<'target'>;
  readonly wantedImages: Gauge;
  readonly unknownImages: Gauge;
  readonly copyThreadRestarts: Counter;
  readonly tableEntries: Gauge;
  readonly tableCharacters: Gauge;
  readonly tableLeftOut: Gauge;
  readonly tableWrites: Counter;
  readonly tableLag: Gauge;
  readonly tableWritten: Gauge;
  readonly tableUnread: Counter;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const metrics = defineMetrics(registry, registers);
  // Created at startup: Prometheus sees no increase in a series that begins with its first event.
  for (const outcome of ['success', 'failure']) metrics.tlsReloads.inc({ outcome }, 0);
  return metrics;
}

function defineMetrics(registry: Registry, registers: Registry[]): Metrics {
  return {
    registry,
    leader: new Gauge({
      name: 'image_swapper_leader',
      help: '1 in the replica that holds the Lease, and in a service without a Lease; else 0. This replica copies and reconciles',
      registers,
    }),
    requests: new Counter({
      name: 'image_swapper_resolve_requests_total',
      help: 'Admission requests by route and outcome',
      labelNames: ['route', 'outcome'],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'image_swapper_resolve_duration_seconds',
      help: 'Time from receiving the whole request to sending its response',
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
      help: 'Filters that failed or did not return a boolean',
      labelNames: ['kind'],
      registers,
    }),
    openRoutes: new Gauge({
      name: 'image_swapper_open_routes',
      help: '1 for the route of policies.engine while it has no authentication (auth, tls.clients), else 0',
      labelNames: ['route'],
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
      help: 'Target lookups by result',
      labelNames: ['target', 'outcome'],
      registers,
    }),
    lookupHits: new Counter({
      name: 'image_swapper_lookup_cache_hits_total',
      help: 'Target lookups answered from the cache',
      labelNames: ['target'],
      registers,
    }),
    lookupMisses: new Counter({
      name: 'image_swapper_lookup_cache_misses_total',
      help: 'Target lookups not in the cache',
      labelNames: ['target'],
      registers,
    }),
    copies: new Counter({
      name: 'image_swapper_copy_jobs_total',
      help: 'Copy attempts by outcome: copied, repaired, up-to-date, or the failure class',
      labelNames: ['target', 'outcome'],
      registers,
    }),
    copySeconds: new Histogram({
      name: 'image_swapper_copy_duration_seconds',
      help: 'Duration of successful copies',
      labelNames: ['target'],
      buckets: [0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800],
      registers,
    }),
    copyBytes: new Counter({
      name: 'image_swapper_copy_bytes_total',
      help: 'Blob bytes by copy method: uploaded, mounted, skipped',
      labelNames: ['target', 'kind'],
      registers,
    }),
    repairs: new Counter({
      name: 'image_swapper_repaired_images_total',
      help: 'Images that were repaired after a target lost parts of them',
      labelNames: ['target'],
      registers,
    }),
    unfinishedReferrers: new Counter({
      name: 'image_swapper_unfinished_referrers_total',
      help: 'Signatures, attestations and SBOMs that could not be copied for a temporary reason; the service retries',
      labelNames: ['target'],
      registers,
    }),
    gated: new Gauge({
      name: 'image_swapper_gated_images',
      help: 'Images in the queue that the gate of their target holds (held) or has denied (denied)',
      labelNames: ['target', 'verdict'],
      registers,
    }),
    gateRefusals: new Counter({
      name: 'image_swapper_gate_refusals_total',
      help: 'Copy attempts that the gate of their target stopped, by check (targets[].gate)',
      labelNames: ['target', 'check', 'verdict'],
      registers,
    }),
    queueDepth: new Gauge({
      name: 'image_swapper_queue_depth',
      help: 'Copies that are queued, running, waiting for a retry, failed or done; at most the newest 500 of failed and done',
      labelNames: ['state'],
      registers,
    }),
    queueOldestAge: new Gauge({
      name: 'image_swapper_queue_oldest_age_seconds',
      help: 'Age of the oldest copy that waits to run, without copies that a gate holds; 0 without any',
      registers,
    }),
    queueRefused: new Counter({
      name: 'image_swapper_queue_refused_total',
      help: 'Copies that were not accepted because the queue was full',
      labelNames: ['target'],
      registers,
    }),
    queueServerUp: new Gauge({
      name: 'image_swapper_queue_server_up',
      help: '1 while the queue server can be used; 0 while it cannot, and the replica that holds the Lease copies alone; absent with queue.type memory',
      labelNames: ['type'],
      registers,
    }),
    queueServerReplicas: new Gauge({
      name: 'image_swapper_queue_server_replicas',
      help: 'Replicas that copy, as seen by this replica in the queue server',
      labelNames: ['type'],
      registers,
    }),
    registryRequests: new Counter({
      name: 'image_swapper_registry_requests_total',
      help: 'Requests to registries by host (configured and well-known hosts, else other), operation, and HTTP status (error: no response)',
      labelNames: ['registry', 'action', 'code'],
      registers,
    }),
    registryThrottled: new Counter({
      name: 'image_swapper_registry_throttled_total',
      help: 'Requests to registries that got status 429 (too many requests)',
      labelNames: ['registry'],
      registers,
    }),
    rateLimitRemaining: new Gauge({
      name: 'image_swapper_ratelimit_remaining',
      help: 'Remaining pulls, from the last response of the registry (Docker Hub)',
      labelNames: ['registry'],
      registers,
    }),
    registryPulls: new Counter({
      name: 'image_swapper_registry_pulls_total',
      help: 'Pulls as Docker Hub counts them: platform manifests that were read from it',
      labelNames: ['registry'],
      registers,
    }),
    configReloadSuccess: new Counter({
      name: 'image_swapper_config_reload_success_total',
      help: 'Configuration reloads that succeeded',
      registers,
    }),
    configReloadFailure: new Counter({
      name: 'image_swapper_config_reload_failure_total',
      help: 'Configuration reloads that failed; the previous configuration stays in use',
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
      help: 'Expiry time of the serving certificate; 0 without one',
      registers,
    }),
    logins: new Counter({
      name: 'image_swapper_auth_refresh_total',
      help: 'Logins to cloud registries by outcome',
      labelNames: ['registry', 'outcome'],
      registers,
    }),
    loginExpiry: new Gauge({
      name: 'image_swapper_auth_token_expiry_timestamp_seconds',
      help: 'Expiry time of the login to a cloud registry',
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
      help: 'Repositories whose policies differ from the configuration',
      labelNames: ['registry'],
      registers,
    }),
    watchUp: new Gauge({
      name: 'image_swapper_watch_up',
      help: 'In the replica that holds the Lease: 1 while it lists and watches the kind of object, else 0; absent in other replicas',
      labelNames: ['kind'],
      registers,
    }),
    watchRestarts: new Counter({
      name: 'image_swapper_watch_restarts_total',
      help: 'Failed lists and watches of a kind of object; the service restarts them',
      labelNames: ['kind'],
      registers,
    }),
    refreshDrift: new Counter({
      name: 'image_swapper_refresh_drift_total',
      help: 'Tags that had moved at their source and were copied again',
      labelNames: ['target'],
      registers,
    }),
    vanishedSources: new Gauge({
      name: 'image_swapper_vanished_sources',
      help: 'Images of the cluster whose source existed before, but was absent or refused in three checks over at least an hour, in the replica that holds the Lease',
      labelNames: ['target'],
      registers,
    }),
    gcRefusals: new Gauge({
      name: 'image_swapper_gc_refusals',
      help: 'Reasons why the last garbage collection deleted nothing from the target, in the replica that holds the Lease',
      labelNames: ['target'],
      registers,
    }),
    gcDeleted: new Counter({
      name: 'image_swapper_gc_deleted_images_total',
      help: 'Images that garbage collection deleted from the target',
      labelNames: ['target'],
      registers,
    }),
    usageWriters: new Gauge({
      name: 'image_swapper_usage_record_writers',
      help: "Installations that wrote this cluster's usage record within a day, in the replica that holds the Lease; more than 1 stops gc",
      labelNames: ['target'],
      registers,
    }),
    wantedImages: new Gauge({
      name: 'image_swapper_wanted_images',
      help: "Images that the cluster's Pods and workloads use and that belong in a target, in the replica that holds the Lease; else 0",
      registers,
    }),
    unknownImages: new Gauge({
      name: 'image_swapper_unknown_images',
      help: 'Images in targets that Pods and workloads use, but whose source is unknown, so that they are not updated; in the replica that holds the Lease, else 0',
      registers,
    }),
    copyThreadRestarts: new Counter({
      name: 'image_swapper_copy_thread_restarts_total',
      help: 'Restarts of the background worker, which copies images and watches the cluster',
      registers,
    }),
    tableEntries: new Gauge({
      name: 'image_swapper_table_entries',
      help: "Images in the API server's table (engine mutatingadmissionpolicy, or policies.table), in the replica that writes it; else 0",
      registers,
    }),
    tableCharacters: new Gauge({
      name: 'image_swapper_table_characters',
      help: "Characters of the API server's table, at most 1,200,000",
      registers,
    }),
    tableLeftOut: new Gauge({
      name: 'image_swapper_table_left_out',
      help: "Mirrored images that do not fit into the API server's table, or whose names it cannot contain: their Pods keep the source image, or call the service with policies.table",
      registers,
    }),
    tableWrites: new Counter({
      name: 'image_swapper_table_writes_total',
      help: "Objects of the API server's table that were written",
      registers,
    }),
    tableLag: new Gauge({
      name: 'image_swapper_table_lag_seconds',
      help: "Delay between the oldest change in the last write of the API server's table and the end of that write",
      registers,
    }),
    tableWritten: new Gauge({
      name: 'image_swapper_table_written_timestamp_seconds',
      help: "Time of the last write of the API server's table",
      registers,
    }),
    tableUnread: new Counter({
      name: 'image_swapper_table_unread_total',
      help: 'With policies.table: calls of Kyverno about Pods whose images the table has had for a minute: Kyverno does not read the table',
      registers,
    }),
  };
}
