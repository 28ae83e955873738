import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Counter, Gauge, Histogram } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { createMetrics } from '../../../extension-service/src/telemetry/metrics.js';
import { debianTool } from '../../tools/debian.js';
import { ownMetrics } from '../../tools/metric-table.js';

/** promtool checks the alerts, the dashboard's queries and our metrics. */

const promtool = debianTool('promtool', 'prometheus');
const chart = new URL('../../../extension-service/chart/', import.meta.url);
const alertsFile = fileURLToPath(new URL('alerts/image-swapper.yaml', chart));
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'image-swapper-promtool-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync(promtool ?? '', args, { input, encoding: 'utf8' });
  return status === 0 ? 'ok' : `${status}: ${stdout}${stderr}`;
}

function file(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, stringify(content));
  return path;
}

const { repository } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  readonly repository: string;
};
const pages = `${repository}/blob/main/docs/operations.md`;

interface Rule {
  readonly alert: string;
}
const alerts = (parse(readFileSync(alertsFile, 'utf8')) as { groups: { rules: Rule[] }[] }).groups
  .flatMap(({ rules }) => rules)
  .map(({ alert }) => alert);

/** Values per minute in promtool's notation, by series name with labels. */
type Series = Readonly<Record<string, string>>;

interface Scenario {
  readonly fires: Series | readonly Series[];
  readonly quiet: Series | readonly Series[];
}

const JOB = 'namespace="swapper",job="image-swapper"';
const POD = `${JOB},pod="a"`;
const OTHER = 'namespace="other",job="image-swapper"';
const LEADER = 'image_swapper_leader';
/** Promtool's time starts in 1970. */
const SECONDS = { halfDay: 43_200, week: 604_800 };
const scenarios: Readonly<Record<string, Scenario>> = {
  ImageSwapperDown: {
    fires: [
      // The service never ran, has been down for two hours, or is down while another installation is healthy.
      {},
      { [`${LEADER}{${POD}}`]: '1x60 stale', [`${LEADER}{${JOB},pod="b"}`]: '0x60 stale' },
      { [`${LEADER}{${OTHER},pod="a"}`]: '1x180', [`${LEADER}{${POD}}`]: '1x60 stale' },
    ],
    quiet: [
      { [`${LEADER}{${POD}}`]: '0x60 stale', [`${LEADER}{${JOB},pod="b"}`]: '1x180' },
      { [`${LEADER}{${POD}}`]: '1x60 stale', [`${LEADER}{${JOB},pod="b"}`]: '_x59 1x120' },
      { [`${LEADER}{${POD}}`]: '1x177 stale' },
    ],
  },
  ImageSwapperNoLeader: {
    fires: { [`image_swapper_leader{${POD}}`]: '0x180', [`image_swapper_leader{${JOB},pod="b"}`]: '0x180' },
    quiet: { [`image_swapper_leader{${POD}}`]: '0x180', [`image_swapper_leader{${JOB},pod="b"}`]: '1x180' },
  },
  ImageSwapperMirrorFailing: {
    fires: { [`image_swapper_copy_jobs_total{${POD},target="eu",outcome="absent"}`]: '0+1x180' },
    quiet: {
      [`image_swapper_copy_jobs_total{${POD},target="eu",outcome="copied"}`]: '0+1x180',
      [`image_swapper_copy_jobs_total{${POD},target="eu",outcome="up-to-date"}`]: '0+1x180',
      [`image_swapper_copy_jobs_total{${POD},target="eu",outcome="absent"}`]: '3x180',
    },
  },
  ImageSwapperTargetUnreachable: {
    fires: {
      [`image_swapper_lookups_total{${POD},target="eu",outcome="unreachable"}`]: '0+1x180',
      [`image_swapper_lookups_total{${POD},target="eu",outcome="breaker-open"}`]: '0+8x180',
      [`image_swapper_lookup_cache_misses_total{${POD},target="eu"}`]: '0+10x180',
    },
    quiet: {
      [`image_swapper_lookups_total{${POD},target="eu",outcome="timeout"}`]: '0+1x180',
      [`image_swapper_lookups_total{${POD},target="eu",outcome="absent"}`]: '0+9x180',
      [`image_swapper_lookup_cache_misses_total{${POD},target="eu"}`]: '0+10x180',
    },
  },
  ImageSwapperLoginEnds: {
    fires: { [`image_swapper_auth_token_expiry_timestamp_seconds{${POD},registry="target eu"}`]: '9000x180' },
    quiet: { [`image_swapper_auth_token_expiry_timestamp_seconds{${POD},registry="target eu"}`]: '12000x180' },
  },
  ImageSwapperAdmissionErrors: {
    fires: {
      [`image_swapper_resolve_requests_total{${POD},route="kyverno",outcome="200"}`]: '0+95x180',
      [`image_swapper_resolve_requests_total{${POD},route="kyverno",outcome="500"}`]: '0+5x180',
    },
    quiet: {
      [`image_swapper_resolve_requests_total{${POD},route="kyverno",outcome="200"}`]: '0+95x180',
      [`image_swapper_resolve_requests_total{${POD},route="kyverno",outcome="400"}`]: '0+5x180',
    },
  },
  ImageSwapperSlowAdmission: {
    fires: {
      [`image_swapper_resolve_duration_seconds_bucket{${POD},route="kyverno",le="1"}`]: '0+50x180',
      [`image_swapper_resolve_duration_seconds_bucket{${POD},route="kyverno",le="5"}`]: '0+100x180',
      [`image_swapper_resolve_duration_seconds_bucket{${POD},route="kyverno",le="+Inf"}`]: '0+100x180',
    },
    quiet: {
      [`image_swapper_resolve_duration_seconds_bucket{${POD},route="kyverno",le="0.2"}`]: '0+100x180',
      [`image_swapper_resolve_duration_seconds_bucket{${POD},route="kyverno",le="+Inf"}`]: '0+100x180',
    },
  },
  ImageSwapperConfigReloadFailing: {
    fires: { [`image_swapper_config_reload_failure_total{${POD}}`]: '0x149 1x30' },
    quiet: { [`image_swapper_config_reload_failure_total{${POD}}`]: '1x180' },
  },
  ImageSwapperCertificateReloadFailing: {
    fires: { [`image_swapper_tls_reloads_total{${POD},outcome="failure"}`]: '0x149 1x30' },
    quiet: {
      [`image_swapper_tls_reloads_total{${POD},outcome="failure"}`]: '0x180',
      [`image_swapper_tls_reloads_total{${POD},outcome="success"}`]: '0+1x180',
    },
  },
  ImageSwapperCertificateExpires: {
    fires: { [`image_swapper_tls_certificate_expiry_timestamp_seconds{${POD}}`]: `${SECONDS.halfDay}x180` },
    quiet: {
      [`image_swapper_tls_certificate_expiry_timestamp_seconds{${POD}}`]: `${SECONDS.week}x180`,
      // The value of a service without TLS is 0.
      [`image_swapper_tls_certificate_expiry_timestamp_seconds{${JOB},pod="b"}`]: '0x180',
    },
  },
  ImageSwapperPolicyMismatch: {
    fires: { [`image_swapper_policy_mismatches_total{${POD},route="kyverno"}`]: '0+1x180' },
    quiet: { [`image_swapper_policy_mismatches_total{${POD},route="kyverno"}`]: '7x180' },
  },
  ImageSwapperThrottled: {
    fires: { [`image_swapper_registry_throttled_total{${POD},registry="docker.io"}`]: '0+1x180' },
    quiet: { [`image_swapper_registry_throttled_total{${POD},registry="docker.io"}`]: '0x100 5x80' },
  },
  ImageSwapperPullLimitNear: {
    fires: { [`image_swapper_ratelimit_remaining{${POD},registry="docker.io"}`]: '3x180' },
    quiet: { [`image_swapper_ratelimit_remaining{${POD},registry="docker.io"}`]: '100x180' },
  },
  ImageSwapperQueueOld: {
    fires: { [`image_swapper_queue_oldest_age_seconds{${POD}}`]: '0+60x180' },
    quiet: { [`image_swapper_queue_oldest_age_seconds{${POD}}`]: '600x180' },
  },
  ImageSwapperWatchDown: {
    fires: {
      [`image_swapper_watch_up{${POD},kind="Pod"}`]: '0x180',
      [`image_swapper_watch_up{${POD},kind="Job"}`]: '1x180',
    },
    quiet: { [`image_swapper_watch_up{${POD},kind="Pod"}`]: '0x170 1x10' },
  },
  ImageSwapperSourceVanished: {
    fires: { [`image_swapper_vanished_sources{${POD},target="eu"}`]: '2x180' },
    quiet: { [`image_swapper_vanished_sources{${POD},target="eu"}`]: '0x180' },
  },
  ImageSwapperGarbageCollectionStopped: {
    fires: {
      [`image_swapper_gc_refusals{${POD},target="eu"}`]: '1x180',
      [`image_swapper_gc_refusals{${POD},target="us"}`]: '0x180',
    },
    quiet: { [`image_swapper_gc_refusals{${POD},target="eu"}`]: '1x170 0x10' },
  },
  ImageSwapperUsageRecordShared: {
    fires: { [`image_swapper_usage_record_writers{${POD},target="eu"}`]: '2x180' },
    quiet: { [`image_swapper_usage_record_writers{${POD},target="eu"}`]: '1x150 2x30' },
  },
  ImageSwapperQueueServerLost: {
    fires: { [`image_swapper_queue_server_up{${POD},type="redis"}`]: '1x100 0x80' },
    quiet: { [`image_swapper_queue_server_up{${POD},type="redis"}`]: '1x170 0x10' },
  },
  ImageSwapperCopyThreadRestarting: {
    fires: { [`image_swapper_copy_thread_restarts_total{${POD}}`]: '0x149 10x30' },
    quiet: { [`image_swapper_copy_thread_restarts_total{${POD}}`]: '0x149 1x30' },
  },
  ImageSwapperQueueFull: {
    fires: { [`image_swapper_queue_refused_total{${POD},target="eu"}`]: '0+1x180' },
    quiet: { [`image_swapper_queue_refused_total{${POD},target="eu"}`]: '4x180' },
  },
};

describe.runIf(promtool !== undefined)('promtool', () => {
  it('accepts the alerts', () => {
    expect(run(['check', 'rules', alertsFile])).toBe('ok');
  });

  it('has a scenario for each alert', () => {
    expect(Object.keys(scenarios).sort()).toEqual([...alerts].sort());
  });

  it.each(Object.entries(scenarios))('%s fires exactly when expected', (alertname, { fires, quiet }) => {
    // Adds a running service, except for the alert about a service that does not run.
    const running = (series: Series): Series =>
      alertname === 'ImageSwapperDown' || Object.keys(series).some((name) => name.startsWith(LEADER))
        ? series
        : { ...series, [`${LEADER}{${POD}}`]: '1x180' };
    const test = (series: Series, firing: boolean): object => ({
      interval: '1m',
      input_series: Object.entries(running(series)).map(([name, values]) => ({ series: name, values })),
      promql_expr_test: [
        {
          // The expression covers all firing alerts, because no other alert may fire.
          expr: `count by (alertname) (ALERTS{alertstate="firing"})`,
          eval_time: '3h',
          exp_samples: firing ? [{ labels: `{alertname="${alertname}"}`, value: 1 }] : [],
        },
      ],
    });
    const tests = {
      rule_files: [alertsFile],
      evaluation_interval: '1m',
      tests: [
        ...[fires].flat().map((series: Series) => test(series, true)),
        ...[quiet].flat().map((series: Series) => test(series, false)),
      ],
    };
    expect(run(['test', 'rules', file(`${alertname}.yaml`, tests)])).toBe('ok');
  });

  it('fills in the texts of the alerts', () => {
    const tests = {
      rule_files: [alertsFile],
      tests: [
        {
          interval: '1m',
          input_series: [
            { series: `image_swapper_registry_throttled_total{${POD},registry="docker.io"}`, values: '0+2x180' },
          ],
          alert_rule_test: [
            {
              eval_time: '3h',
              alertname: 'ImageSwapperThrottled',
              exp_alerts: [
                {
                  exp_labels: {
                    severity: 'warning',
                    namespace: 'swapper',
                    job: 'image-swapper',
                    registry: 'docker.io',
                  },
                  exp_annotations: {
                    summary: 'Registry docker.io throttles image-swapper',
                    description:
                      'docker.io has answered 60 requests with status 429 in half an hour. Its copies are waiting.',
                    runbook_url: `${pages}#throttled`,
                  },
                },
              ],
            },
          ],
        },
        {
          interval: '1m',
          input_series: [{ series: `${LEADER}{${POD}}`, values: '1x60 stale' }],
          alert_rule_test: [
            {
              eval_time: '2h',
              alertname: 'ImageSwapperDown',
              exp_alerts: [
                {
                  exp_labels: { severity: 'critical', namespace: 'swapper', job: 'image-swapper' },
                  exp_annotations: {
                    summary: 'image-swapper is down',
                    description:
                      'No Pod of image-swapper in namespace swapper has been scraped for five minutes. New Pods are admitted unchanged, or refused where the policy fails closed; nothing is mirrored.',
                    runbook_url: `${pages}#down`,
                  },
                },
              ],
            },
          ],
        },
      ],
    };
    expect(run(['test', 'rules', file('annotations.yaml', tests)])).toBe('ok');
  });

  it('accepts each query of the dashboard', () => {
    const { panels } = JSON.parse(readFileSync(new URL('dashboards/image-swapper.json', chart), 'utf8')) as {
      panels: { title: string; targets?: { expr: string }[] }[];
    };
    const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    expect(queries.length).toBeGreaterThan(20);
    const filledIn = (expr: string): string =>
      expr.replaceAll('$job', 'image-swapper').replaceAll('$__rate_interval', '5m').replaceAll('$__range', '6h');
    const rules = queries.map((expr, n) => ({ record: `panel:query:${n}`, expr: filledIn(expr) }));
    expect(rules.filter(({ expr }) => expr.includes('$'))).toEqual([]);
    expect(run(['check', 'rules', file('dashboard.yaml', { groups: [{ name: 'dashboard', rules }] })])).toBe('ok');
  });

  it('reports no problem with the metrics', async () => {
    const { registry } = createMetrics();
    const own = await ownMetrics();
    const texts = own.map(({ name, labels }) => {
      const metric = registry.getSingleMetric(name);
      const values = Object.fromEntries(labels.map((label) => [label, 'x']));
      // promtool can check a metric only when it has a sample.
      if (metric instanceof Counter) metric.inc(values, 1);
      else if (metric instanceof Gauge) metric.set(values, 1);
      else if (metric instanceof Histogram) metric.observe(values, 1);
      return registry.getSingleMetricAsString(name);
    });
    expect(run(['check', 'metrics'], `${(await Promise.all(texts)).join('\n')}\n`)).toBe('ok');
  });
});
