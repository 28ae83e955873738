import { hashAnnotation, hashIn } from '../../policies/config-hash.js';
import type { MutatingWebhookObject, WebhookClientConfig } from '../../policies/objects.js';
import {
  checkFilters,
  checkTargets,
  namespacesExcept,
  policyMetadata,
  resolvePodOptions,
  resolvePolicyOptions,
} from '../../policies/options.js';
import type { GuardOptions, PolicyDefaults, PolicyOptions } from '../../policies/options.js';
import { base64Ascii, normalizeCertificates } from '../../policies/pem.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import { podConditions, POD_RULES } from '../../policies/pod-conditions.js';
import { requireHttps, routeUrl, type ServiceUrl } from '../../policies/url.js';
import { ROUTES } from '../routes.js';
import { DEFAULT_TIMEOUT_SECONDS } from '../waiting.js';

/**
 * `targets` are validated, and part of the hash: without an engine in between, nothing can check the service's answer.
 */
export interface MutatingWebhookOptions extends PolicyOptions, GuardOptions {
  /** CA certificates (PEM) that sign the service's certificate. Absent: the API server's own trust store. */
  readonly caBundle?: string;
  /** The service's `auth.webhook.path`: a user who can read the object can call the service. */
  readonly callerPath?: string;
  /** Of the configuration; default: that of these options. */
  readonly hash?: string;
  /**
   * Call again when a later webhook changes the Pod, for example to add a sidecar. Default `IfNeeded`; `Never` with
   * `directTarget: refuse`.
   */
  readonly reinvocationPolicy?: 'IfNeeded' | 'Never';
}

export const WEBHOOK_DEFAULTS: PolicyDefaults = { timeoutSeconds: DEFAULT_TIMEOUT_SECONDS, namespaces: [] };

/** A `MutatingWebhookConfiguration` for clusters without a policy engine; Kubernetes ≥ 1.28, for `matchConditions`. */
export function renderMutatingWebhook(options: MutatingWebhookOptions): MutatingWebhookObject {
  const resolved = resolvePolicyOptions(options, WEBHOOK_DEFAULTS);
  requireHttps(resolved.url, 'url', 'kube-apiserver');
  const refuses = options.directTarget === 'refuse';
  // A swapped Pod names a target: in a second call, another replica would refuse it.
  const { reinvocationPolicy = refuses ? 'Never' : 'IfNeeded' } = options;
  const known: readonly unknown[] = ['IfNeeded', 'Never'];
  if (!known.includes(reinvocationPolicy)) {
    const message = `${JSON.stringify(reinvocationPolicy)} is not one of ${known.join(', ')}`;
    throw new InvalidPolicyOptionError('reinvocationPolicy', message);
  }
  if (refuses && reinvocationPolicy !== 'Never') {
    throw new InvalidPolicyOptionError('reinvocationPolicy', 'must be Never with source.directTarget: refuse');
  }
  const targets = checkTargets(options.targets);
  const filters = checkFilters(options.filters);
  const { operators } = resolvePodOptions(options.pods);
  const hash = hashIn({ ...options, targets });
  const caBundle =
    options.caBundle === undefined ? undefined : base64Ascii(normalizeCertificates(options.caBundle, 'caBundle'));
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: policyMetadata(resolved.name, options, hashAnnotation(hash)),
    webhooks: [
      {
        // The API requires a name with at least three labels, unique within the object.
        name: 'pods.image-swapper.dev',
        admissionReviewVersions: ['v1'],
        // A dry run is decided and never copied.
        sideEffects: 'NoneOnDryRun',
        failurePolicy: resolved.failurePolicy,
        reinvocationPolicy,
        matchPolicy: 'Equivalent',
        timeoutSeconds: resolved.timeoutSeconds,
        clientConfig: {
          ...clientConfig(resolved.url, options.callerPath, hash),
          ...(caBundle === undefined ? {} : { caBundle }),
        },
        namespaceSelector: namespacesExcept(resolved.excludedNamespaces),
        rules: POD_RULES.map((rule) => ({ ...rule, scope: 'Namespaced' as const })),
        // No conditions on images: if a webhook does not match at first, the API server does not call it again after a
        // later one added a sidecar.
        matchConditions: podConditions(filters, options.directTarget, operators),
      },
    ],
  };
}

/** kube-apiserver often cannot resolve the cluster's own DNS names, so a Service is given as a reference. */
function clientConfig(url: ServiceUrl, callerPath: string | undefined, hash: string | undefined): WebhookClientConfig {
  // Lets the service detect conditions of another configuration: the API server does not send our header.
  const route = [ROUTES.webhook.path, callerPath, hash].filter((part) => part !== undefined).join('/');
  if (url.service === undefined) return { url: routeUrl(url, route) };
  return { service: { ...url.service, port: url.port ?? 443, path: `${url.path}${route}` } };
}
