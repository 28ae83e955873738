import { normalizeCertificates } from './pem.js';
import { SYSTEM_NAMESPACES } from './options.js';
import { InvalidPolicyOptionError } from './problem.js';

/**
 * Values for Gatekeeper's own Helm chart under which its `Assign`s can do what they say. Its defaults give up after 1 s,
 * before a `Provider` of 1 s can, so that the webhook's failure policy would act instead of the `Assign`'s; and they never
 * ask again after a webhook that adds a sidecar.
 */
export interface GatekeeperChartValues {
  readonly enableExternalData: true;
  readonly disableMutation: false;
  readonly mutatingWebhookTimeoutSeconds: number;
  readonly mutatingWebhookFailurePolicy: 'Ignore';
  readonly mutatingWebhookReinvocationPolicy: 'IfNeeded';
  readonly mutatingWebhookExemptNamespacesLabels: { readonly 'kubernetes.io/metadata.name': readonly string[] };
  /** At DEBUG Gatekeeper (3.23) panics where an `Assign` says `Ignore`, and the Pod is refused. */
  readonly logLevel: 'INFO';
}

/** The API server waits at most 30 s for Gatekeeper, which needs time for its own work besides the Provider's. */
const LONGEST = { webhook: 30, own: 2 } as const;

/** @throws InvalidPolicyOptionError for a timeout that Gatekeeper's webhook cannot outlast */
export function gatekeeperChartValues(
  options: { readonly timeoutSeconds?: number; readonly serviceNamespace?: string } = {},
): GatekeeperChartValues {
  const { timeoutSeconds = 1, serviceNamespace = 'image-swapper' } = options;
  const most = LONGEST.webhook - LONGEST.own;
  if (timeoutSeconds > most) {
    throw new InvalidPolicyOptionError(
      'timeoutSeconds',
      `${timeoutSeconds} must be at most ${most}: Gatekeeper's webhook ends after ${LONGEST.webhook} s, and would before the Assign can say what a failure means`,
    );
  }
  return {
    enableExternalData: true,
    disableMutation: false,
    mutatingWebhookTimeoutSeconds: timeoutSeconds + LONGEST.own,
    mutatingWebhookFailurePolicy: 'Ignore',
    mutatingWebhookReinvocationPolicy: 'IfNeeded',
    mutatingWebhookExemptNamespacesLabels: {
      'kubernetes.io/metadata.name': [...new Set([...SYSTEM_NAMESPACES, serviceNamespace])],
    },
    logLevel: 'INFO',
  };
}

/**
 * What Kyverno 1.18 must be told to block (`--httpBlocklist`) so that a `MutatingPolicy` may call a Service: its own list has
 * all private addresses on it. Loopback, link-local and metadata addresses, as far as 1.19 and newer block by themselves,
 * stay there.
 */
export const KYVERNO_1_18_BLOCKLIST =
  '127.0.0.0/8,::1/128,169.254.0.0/16,fe80::/10,fd00:ec2::254/128,metadata.google.internal';

/** Values for Kyverno's own Helm chart that put an authority into its trust store, for `MutatingPolicy` over https. */
export interface KyvernoChartValues {
  readonly admissionController: { readonly caCertificates: { readonly data: string } };
}

/**
 * `caBundle`: PEM text of the authorities that sign the service's certificate. The chart's value takes the place of the
 * whole trust store, so `publicRoots` are the authorities that Kyverno still needs for everything else that it calls,
 * such as registries whose signatures it verifies.
 */
export function kyvernoChartValues(caBundle: string, publicRoots?: string): KyvernoChartValues {
  const own = normalizeCertificates(caBundle, 'caBundle');
  const others = publicRoots === undefined ? '' : normalizeCertificates(publicRoots, 'publicRoots');
  return { admissionController: { caCertificates: { data: `${own}${others}` } } };
}
