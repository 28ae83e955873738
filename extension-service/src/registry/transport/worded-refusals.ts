import type { RegistryErrorKind } from '../errors.js';

/** A refusal whose cause only the text tells: the status and the code are those of a missing permission. */
export interface WordedRefusal {
  readonly words: RegExp;
  readonly kind: RegistryErrorKind;
  readonly advice: string;
}

/** Azure's network rules: `client with IP '192.0.2.1' is not allowed access. Refer https://aka.ms/acr/firewall …`. */
export const AZURE_FIREWALL = /aka\.ms\/acr\/firewall|client with IP/i;
export const AZURE_FIREWALL_ADVICE =
  "the registry's network rules do not allow this address: add it, or use a private endpoint";

/** Texts of Google's APIs; its registries repeat them in their own errors. */
export const GOOGLE_REFUSALS: readonly WordedRefusal[] = [
  {
    // cloud.google.com/vpc-service-controls/docs/troubleshooting
    words: /vpcServiceControlsUniqueIdentifier|VPC Service Controls/i,
    kind: 'forbidden',
    advice:
      'a perimeter of VPC Service Controls refuses the request: allow this identity and network in its ingress or egress rules',
  },
  {
    words: /has not been used in project|SERVICE_DISABLED/i,
    kind: 'forbidden',
    advice: 'enable artifactregistry.googleapis.com in the project',
  },
  {
    words: /requires billing to be enabled|BILLING_DISABLED/i,
    kind: 'forbidden',
    advice: 'enable billing for the project',
  },
  {
    // cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints
    words: /\bconstraints\/[a-z]+\.[a-z]/i,
    kind: 'forbidden',
    advice: 'an organization policy of Google Cloud forbids it: meet its constraint, or change the policy',
  },
];

const REFUSALS: readonly WordedRefusal[] = [
  ...GOOGLE_REFUSALS,
  { words: AZURE_FIREWALL, kind: 'forbidden', advice: AZURE_FIREWALL_ADVICE },
  {
    // aka.ms/acr/faq: REGISTRY_DISALLOWED_OPERATION, with status 405
    words: /operation is disallowed on this registry|REGISTRY_DISALLOWED_OPERATION/i,
    kind: 'forbidden',
    advice:
      'the image, its repository or the registry is locked, quarantined or disabled: see changeableAttributes in `az acr repository show`',
  },
  {
    // goharbor/harbor#12404
    words: /push artifact to a proxy project/i,
    kind: 'forbidden',
    advice: 'this project is a proxy cache, which accepts no pushes: use another project in the prefix',
  },
  {
    // docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html
    words: /authentication to the upstream registry failed/i,
    kind: 'forbidden',
    advice: "correct the secret of ECR's pull-through cache rule, or the name of the image at its upstream",
  },
  {
    // GoogleContainerTools/kaniko#1095: Artifactory's permission Delete/Overwrite
    words: /^MANIFEST_INVALID manifest invalid: HTTP 403\b/i,
    kind: 'forbidden',
    advice: 'the tag exists, and the credentials may not overwrite it (Delete/Overwrite in Artifactory)',
  },
];

/** The first refusal whose words are in the text. */
export function wordedRefusal(text: string, refusals: readonly WordedRefusal[] = REFUSALS): WordedRefusal | undefined {
  return refusals.find(({ words }) => words.test(text));
}
