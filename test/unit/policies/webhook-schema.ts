import { Ajv } from 'ajv';
import { crdProblems } from './crd-schema.js';

const names = { type: 'array', minItems: 1, items: { type: 'string' } };

/**
 * Validation rules of the API server for a MutatingWebhookConfiguration that its OpenAPI document does not contain.
 * Written by hand from the API reference of Kubernetes 1.34.
 */
const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['apiVersion', 'kind', 'metadata', 'webhooks'],
  properties: {
    apiVersion: { const: 'admissionregistration.k8s.io/v1' },
    kind: { const: 'MutatingWebhookConfiguration' },
    metadata: {
      type: 'object',
      additionalProperties: false,
      required: ['name'],
      properties: { name: { type: 'string' }, labels: { type: 'object' }, annotations: { type: 'object' } },
    },
    webhooks: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name', 'clientConfig', 'sideEffects', 'admissionReviewVersions'],
        properties: {
          name: { type: 'string', pattern: '^[a-z0-9-]+(\\.[a-z0-9-]+){2,}$' },
          clientConfig: {
            type: 'object',
            additionalProperties: false,
            oneOf: [{ required: ['url'] }, { required: ['service'] }],
            properties: {
              url: { type: 'string', pattern: '^https://' },
              service: {
                type: 'object',
                additionalProperties: false,
                required: ['name', 'namespace'],
                properties: {
                  name: { type: 'string' },
                  namespace: { type: 'string' },
                  port: { type: 'integer', minimum: 1, maximum: 65535 },
                  path: { type: 'string', pattern: '^/' },
                },
              },
              caBundle: { type: 'string', pattern: '^[A-Za-z0-9+/]+=*$' },
            },
          },
          rules: {
            type: 'array',
            items: {
              type: 'object',
              additionalProperties: false,
              required: ['apiGroups', 'apiVersions', 'operations', 'resources'],
              properties: {
                apiGroups: names,
                apiVersions: names,
                operations: { type: 'array', items: { enum: ['*', 'CREATE', 'UPDATE', 'DELETE', 'CONNECT'] } },
                resources: names,
                scope: { enum: ['Cluster', 'Namespaced', '*'] },
              },
            },
          },
          failurePolicy: { enum: ['Ignore', 'Fail'] },
          matchPolicy: { enum: ['Exact', 'Equivalent'] },
          namespaceSelector: { type: 'object' },
          sideEffects: { enum: ['None', 'NoneOnDryRun'] },
          timeoutSeconds: { type: 'integer', minimum: 1, maximum: 30 },
          admissionReviewVersions: { type: 'array', minItems: 1, items: { enum: ['v1', 'v1beta1'] } },
          reinvocationPolicy: { enum: ['Never', 'IfNeeded'] },
          matchConditions: {
            type: 'array',
            maxItems: 64,
            items: {
              type: 'object',
              additionalProperties: false,
              required: ['name', 'expression'],
              properties: { name: { type: 'string' }, expression: { type: 'string', minLength: 1 } },
            },
          },
        },
      },
    },
  },
};

const validate = new Ajv({ strict: false, allErrors: true }).compile(SCHEMA);

export function webhookProblems(object: unknown): string[] {
  validate(JSON.parse(JSON.stringify(object)));
  return [
    ...(validate.errors ?? []).map(({ instancePath, message }) => `${instancePath || '/'} ${message}`),
    ...crdProblems(object as { readonly apiVersion: string; readonly kind: string }),
  ];
}
