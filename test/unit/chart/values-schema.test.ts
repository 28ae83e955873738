import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const chart = new URL('../../../extension-service/chart/', import.meta.url);
const read = (file: string): unknown => parse(readFileSync(new URL(file, chart), 'utf8'));
const isValid = new Ajv({ strict: false, validateFormats: false }).compile(read('values.schema.json') as object);
const defaults = read('values.yaml') as Readonly<Record<string, unknown>>;

/** Merges values into the chart's values as Helm does. */
function over(before: unknown, values: unknown): unknown {
  const isMap = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isMap(before) || !isMap(values)) return values;
  const keys = new Set([...Object.keys(before), ...Object.keys(values)]);
  const merged = [...keys].map((key) => [key, key in values ? over(before[key], values[key]) : before[key]] as const);
  // null removes a default.
  return Object.fromEntries(merged.filter(([, value]) => value !== null));
}

describe('values.schema.json', () => {
  it.each([
    ['a number of CPUs', { resources: { requests: { cpu: 1 }, limits: { memory: '1Gi' } } }],
    ['another resource', { resources: { requests: { 'ephemeral-storage': '1Gi' } } }],
    ['no CPU', { resources: { requests: { cpu: null } } }],
    ['resources of the Job', { prewarm: { resources: { limits: { cpu: 2 } } } }],
    ['a capability', { securityContext: { capabilities: { add: ['NET_BIND_SERVICE'] } } }],
    [
      'a profile of the node',
      { podSecurityContext: { seccompProfile: { type: 'Localhost', localhostProfile: 'p.json' } } },
    ],
    ['groups', { podSecurityContext: { supplementalGroups: [1000] } }],
    ['another label of the dashboard', { dashboard: { labels: { 'grafana-sidecar': 'yes' } } }],
    ['a label of the monitor', { serviceMonitor: { labels: { release: 'prometheus' } } }],
    ['a selector of namespaces', { webhook: { namespaceSelector: { matchExpressions: [] } } }],
    ['a probe that begins later', { livenessProbe: { initialDelaySeconds: 5 }, startupProbe: { successThreshold: 1 } }],
    ['pull secrets by name', { imagePullSecrets: ['a', { name: 'b' }], global: { imagePullSecrets: ['c'] } }],
    ['a variable from a Secret', { extraEnv: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }],
    ['a Job that stays', { prewarm: { ttlSecondsAfterFinished: null } }],
  ])('accepts values that Kubernetes accepts: %s', (_name, values) => {
    expect([isValid(over(defaults, values)), isValid.errors]).toEqual([true, null]);
  });

  it.each([
    ['a value that is none', { replicas: 2 }],
    ['one in a mapping of the chart', { prewarm: { enable: true } }],
    ['a pull secret without a name', { imagePullSecrets: [{ secret: 'a' }] }],
    ['a node label that is not a text', { nodeSelector: { gpu: true } }],
    ['a variable that is not a text', { extraEnv: [{ name: 'A', value: 1 }] }],
    ['an annotation of the Service that is not a text', { service: { annotations: { internal: true } } }],
    ['a label of the monitor that is not a text', { serviceMonitor: { labels: { release: 1 } } }],
    ['a label of the rule that is not a text', { prometheusRule: { labels: { release: 1 } } }],
    ['an annotation of the dashboard that is not a text', { dashboard: { annotations: { folder: 1 } } }],
    ['a label that is not a text', { dashboard: { labels: { grafana_dashboard: 1 } } }],
  ])('still refuses %s', (_name, values) => {
    expect(isValid(over(defaults, values))).toBe(false);
  });
});
