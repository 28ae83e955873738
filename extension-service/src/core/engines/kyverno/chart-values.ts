import { normalizeCertificates } from '../../policies/pem.js';
import type { HelmValues, HelmValuesInput } from '../engine.js';

/**
 * The list for Kyverno 1.18 (`--httpBlocklist`) that lets a `MutatingPolicy` call a Service: the default list contains
 * all private addresses. Loopback, link-local and metadata addresses stay blocked, as far as 1.19 and newer block them
 * by default.
 */
export const KYVERNO_1_18_BLOCKLIST =
  '127.0.0.0/8,::1/128,169.254.0.0/16,fe80::/10,fd00:ec2::254/128,metadata.google.internal';

/**
 * Values for Kyverno's own Helm chart that add a CA certificate to its trust store, for `MutatingPolicy` over https.
 */
export interface KyvernoChartValues {
  readonly admissionController: { readonly caCertificates: { readonly data: string } };
}

/**
 * `caBundle`: CA certificates (PEM) that sign the service's certificate. The chart's value replaces the whole trust
 * store, so `publicRoots` are the CA certificates that Kyverno still needs for everything else that it calls, such as
 * registries whose signatures it verifies.
 */
export function kyvernoChartValues(caBundle: string, publicRoots?: string): KyvernoChartValues {
  const own = normalizeCertificates(caBundle, 'caBundle');
  const others = publicRoots === undefined ? '' : normalizeCertificates(publicRoots, 'publicRoots');
  return { admissionController: { caCertificates: { data: `${own}${others}` } } };
}

/** The notes that `--engine-values` prints. */
export function mutatingPolicyHelmValues({ caBundle, publicRoots }: HelmValuesInput): HelmValues {
  if (caBundle === undefined) return { notes: [...REQUIRED_DEFAULTS, ...BLOCKLIST], values: {} };
  return {
    notes: [...trust(publicRoots?.knownTo ?? 'your system'), ...BLOCKLIST],
    values: kyvernoChartValues(caBundle, publicRoots?.pem),
  };
}

function trust(knownTo: string): readonly string[] {
  return [
    "Values for Kyverno's own Helm chart. They replace its whole trust store, so they also contain the public CAs that",
    `${knownTo} trusts, for Kyverno's other calls. Add other private CAs that you use, and print`,
    'the values again when your CA changes.',
  ];
}

const REQUIRED_DEFAULTS = [
  'Kyverno needs no extra values for plain HTTP or a publicly trusted certificate. For a certificate of your own CA, set it',
  'as --ca-file.',
];
const BLOCKLIST = [
  'Kyverno 1.18, unlike 1.19 and newer, blocks calls from policies to cluster Services by default; this list replaces the blocked addresses:',
  `  --set "admissionController.container.extraArgs.httpBlocklist=${KYVERNO_1_18_BLOCKLIST.replaceAll(',', '\\,')}"`,
];
