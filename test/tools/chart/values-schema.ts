import { ENGINE_NAMES } from '../../../extension-service/src/core/engines/names.js';
import { parse } from 'yaml';
import { configJsonSchema } from './config-schema.js';
import type { JsonSchema } from './config-schema.js';

/** Schema for values of Kubernetes' own types, which the API server checks. */
const OPEN = { type: 'object' };
const LIST = { type: 'array' };
const TEXT = { type: 'string' };
const FLAG = { type: 'boolean' };
const COUNT = { type: 'integer', minimum: 0 };
const PORT = { type: 'integer', minimum: 1, maximum: 65_535 };
const SECONDS = { type: 'integer', minimum: 1, maximum: 30 };
const NUMBER_OR_TEXT = { type: ['integer', 'string'] };
const TEXTS = { type: 'array', items: TEXT };
const LABELS = { type: 'object', additionalProperties: { type: 'string' } };
const SECRET_NAMES = {
  type: 'array',
  items: {
    anyOf: [TEXT, { type: 'object', properties: { name: TEXT }, required: ['name'], additionalProperties: false }],
  },
};
const choice = (...values: readonly unknown[]): JsonSchema => ({ enum: values });

/**
 * Constraints that values.yaml does not show, by path: choices, limits and optional values. Any other value has the
 * type of its default. An empty mapping accepts any keys.
 */
const DOCUMENTED_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  replicaCount: COUNT,
  'image.pullPolicy': choice('Always', 'IfNotPresent', 'Never'),
  'image.digest': { type: 'string', pattern: '^(?:sha256:[0-9a-f]{64})?$' },
  containerPort: PORT,
  httpContainerPort: PORT,
  metricsContainerPort: PORT,
  'service.type': choice('ClusterIP', 'NodePort', 'LoadBalancer'),
  'service.port': PORT,
  'service.httpPort': PORT,
  'service.metricsPort': PORT,
  'plainHttp.enabled': { enum: [true, false, 'auto'] },
  'serviceAccount.annotations': LABELS,
  commonLabels: LABELS,
  podAnnotations: LABELS,
  podLabels: LABELS,
  'deployment.annotations': LABELS,
  'service.annotations': LABELS,
  'serviceMonitor.labels': LABELS,
  'prometheusRule.labels': LABELS,
  'dashboard.annotations': LABELS,
  'policies.annotations': LABELS,
  'policies.engine': choice(...ENGINE_NAMES, 'none'),
  'policies.undecidable': choice('refuse', 'webhook'),
  'policies.timeoutSeconds': { anyOf: [SECONDS, { type: 'null' }] },
  'policies.url': { type: 'string', pattern: '^(?:https?://[A-Za-z0-9.:\\[\\]-]+(?:/[A-Za-z0-9._~-]+)*/?)?$' },
  'policies.excludedNamespaces': {
    type: 'array',
    items: { type: 'string', pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$' },
  },
  'secretReader.secretNames': TEXTS,
  'tls.mode': choice('selfSigned', 'certManager', 'existingSecret', 'disabled'),
  'certmanager.issuerKind': choice('Issuer', 'ClusterIssuer'),
  'webhook.failurePolicy': choice('Ignore', 'Fail'),
  'webhook.reinvocationPolicy': choice('Never', 'IfNeeded'),
  'webhook.timeoutSeconds': { anyOf: [SECONDS, { type: 'null' }] },
  'pdb.minAvailable': NUMBER_OR_TEXT,
  'pdb.maxUnavailable': NUMBER_OR_TEXT,
  'autoscaling.minReplicas': COUNT,
  'autoscaling.maxReplicas': COUNT,
  'autoscaling.targetCPUUtilizationPercentage': { type: ['integer', 'null'] },
  'autoscaling.targetMemoryUtilizationPercentage': { type: ['integer', 'null'] },
  'dashboard.labels': LABELS,
  'prewarm.ttlSecondsAfterFinished': { anyOf: [COUNT, { type: 'null' }] },
  'networkPolicy.engineNamespaces': TEXTS,
  'networkPolicy.apiServerCidrs': TEXTS,
  'networkPolicy.metricsNamespaces': TEXTS,
  'networkPolicy.egress.extraPorts': { type: 'array', items: PORT },
  extraManifests: { type: 'array', items: { type: ['object', 'string'] } },
  extraManifestsTemplated: { type: 'array', items: { type: ['object', 'string'] } },
  // Umbrella charts put values for other charts here.
  global: { type: 'object', properties: { imageRegistry: TEXT, imagePullSecrets: SECRET_NAMES } },
  imagePullSecrets: SECRET_NAMES,
  nodeSelector: LABELS,
  extraEnv: {
    type: 'array',
    items: { type: 'object', properties: { name: TEXT, value: { type: ['string', 'null'] } }, required: ['name'] },
  },
  strategy: OPEN,
  revisionHistoryLimit: { anyOf: [COUNT, { type: 'null' }] },
  minReadySeconds: COUNT,
  dnsPolicy: choice('', 'ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'),
  'service.ipFamilyPolicy': choice('', 'SingleStack', 'PreferDualStack', 'RequireDualStack'),
  'service.ipFamilies': { type: 'array', items: choice('IPv4', 'IPv6') },
  terminationGracePeriodSeconds: { type: 'integer', minimum: 30 },
};

/** Keys with values of Kubernetes' own types. They accept more fields than our defaults contain. */
const OWN_TYPE = /(?:[sS]ecurityContext|[rR]esources|Probe|[aA]ffinity|Selector|[lL]abels|[aA]nnotations)$/;

/** Values of the k8s-image-swapper chart that our chart accepts but ignores. NOTES.txt lists them. */
const UNUSED_KEYS = ['patch', 'dev', 'test', 'cacheVolume', 'podSecurityPolicy', 'kubeVersionOverride'];

/** Keys that only a parent chart's `condition` reads: Helm passes them to this chart too. */
const PARENT_KEYS: Readonly<Record<string, JsonSchema>> = {
  enabled: { ...FLAG, description: 'Read by the condition of a parent chart; no effect here.' },
};

/** Content of values.schema.json, generated from values.yaml and the schema of the configuration. */
export function valuesJsonSchema(valuesYaml: string): JsonSchema {
  const values = parse(valuesYaml) as Readonly<Record<string, unknown>>;
  const unread = new Set(Object.keys(DOCUMENTED_SCHEMAS));
  const schemaOf = (value: unknown, path: string): JsonSchema => {
    const told = DOCUMENTED_SCHEMAS[path];
    if (told !== undefined) {
      unread.delete(path);
      return told;
    }
    if (Array.isArray(value)) return LIST;
    if (OWN_TYPE.test(path)) return OPEN;
    switch (typeof value) {
      case 'boolean':
        return FLAG;
      case 'number':
        return { type: 'integer' };
      case 'string':
        return TEXT;
      case 'object':
        return value === null || Object.keys(value).length === 0 ? OPEN : objectOf(value, path);
      default:
        throw new Error(`no type for the value ${path}`);
    }
  };
  const objectOf = (value: object, path: string): JsonSchema => ({
    type: 'object',
    properties: Object.fromEntries(
      Object.entries(value).map(([key, child]) => [key, schemaOf(child, path === '' ? key : `${path}.${key}`)]),
    ),
    additionalProperties: false,
  });
  const { config, ...others } = values;
  void config;
  const schema = objectOf(others, '') as { readonly properties: object };
  if (unread.size > 0) throw new Error(`values.yaml has no ${[...unread].join(', ')}`);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the image-swapper chart',
    ...schema,
    properties: {
      config: configJsonSchema(),
      ...schema.properties,
      ...PARENT_KEYS,
      ...Object.fromEntries(
        UNUSED_KEYS.map((key) => [key, { description: 'Obsolete value of k8s-image-swapper; ignored.' }]),
      ),
    },
  };
}
