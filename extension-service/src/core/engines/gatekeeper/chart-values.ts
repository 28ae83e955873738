import { SYSTEM_NAMESPACES } from '../../policies/options.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import { parseServiceUrl } from '../../policies/url.js';
import type { HelmValues, HelmValuesInput } from '../engine.js';

/**
 * Values for Gatekeeper's own Helm chart that its `Assign`s need. By default Gatekeeper times out after 1 s, before a
 * `Provider` with 1 s can, so that the webhook's failure policy would apply instead of the `Assign`'s. It also never
 * runs again after a webhook that adds a sidecar.
 */
export interface GatekeeperChartValues {
  readonly enableExternalData: true;
  readonly disableMutation: false;
  readonly mutatingWebhookTimeoutSeconds: number;
  readonly mutatingWebhookFailurePolicy: 'Ignore';
  readonly mutatingWebhookReinvocationPolicy: 'IfNeeded';
  readonly mutatingWebhookExemptNamespacesLabels: { readonly 'kubernetes.io/metadata.name': readonly string[] };
  /** Gatekeeper 3.23 may fail at the level DEBUG, and the Pod is then refused. */
  readonly logLevel: 'INFO';
}

/**
 * The API server waits at most 30 s for Gatekeeper, which needs time for its own work in addition to the Provider's.
 */
const MAX_TIMEOUTS_SECONDS = { webhook: 30, own: 2 } as const;

/** @throws InvalidPolicyOptionError for a timeout that is too long for Gatekeeper's webhook */
export function gatekeeperChartValues(
  options: { readonly timeoutSeconds?: number; readonly serviceNamespace?: string } = {},
): GatekeeperChartValues {
  const { timeoutSeconds = 1, serviceNamespace = 'image-swapper' } = options;
  const most = MAX_TIMEOUTS_SECONDS.webhook - MAX_TIMEOUTS_SECONDS.own;
  if (timeoutSeconds > most) {
    throw new InvalidPolicyOptionError(
      'timeoutSeconds',
      `${timeoutSeconds} must be at most ${most}: Gatekeeper's webhook times out after ${MAX_TIMEOUTS_SECONDS.webhook} s, before the Assign could apply its failure policy`,
    );
  }
  return {
    enableExternalData: true,
    disableMutation: false,
    mutatingWebhookTimeoutSeconds: timeoutSeconds + MAX_TIMEOUTS_SECONDS.own,
    mutatingWebhookFailurePolicy: 'Ignore',
    mutatingWebhookReinvocationPolicy: 'IfNeeded',
    mutatingWebhookExemptNamespacesLabels: {
      'kubernetes.io/metadata.name': [...new Set([...SYSTEM_NAMESPACES, serviceNamespace])],
    },
    logLevel: 'INFO',
  };
}

/** The notes that `--engine-values` prints. */
export function gatekeeperHelmValues({ url, timeoutSeconds }: HelmValuesInput): HelmValues {
  const { service } = parseServiceUrl(url, 'url');
  const values = gatekeeperChartValues({
    ...(timeoutSeconds !== undefined && { timeoutSeconds }),
    ...(service !== undefined && { serviceNamespace: service.namespace }),
  });
  return { notes: NOTES, values };
}

const NOTES = [
  "Values for Gatekeeper's own Helm chart. Without them its webhook times out before an Assign can apply its failure policy,",
  'and does not see sidecars that later webhooks add.',
];
