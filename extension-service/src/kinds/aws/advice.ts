import type { RegistryErrorKind } from '../../registry/errors.js';
import { proxyRefusalAdvice } from '../proxy-refusal.js';
import type { CredentialSource } from './credential-source.js';
import { missingCredentials } from './credential-source.js';

/** A failed call of AWS's API. */
export interface AwsFailure {
  readonly kind: RegistryErrorKind;
  /** AWS's name of the error, without `Exception`. */
  readonly name: string;
  /** AWS's whole message. */
  readonly whole: string;
  readonly action: string;
  readonly resource: string;
  /** The file that could not be read. */
  readonly file: string | undefined;
  readonly source: CredentialSource | undefined;
}

/** Advice for some errors by name, whatever their class. */
const BY_NAME: Readonly<Record<string, string>> = {
  RepositoryLimitExceeded:
    'the account has reached an ECR quota: delete images that are not needed, or request a higher quota',
  // docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html
  Kms: "the key must be enabled and in the registry's region, and the identity needs kms:CreateGrant and kms:DescribeKey on it",
  RegionDisabled: 'activate STS for this region in the account settings of IAM',
  OptInRequired: 'enable the region in the account',
  // docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
  InvalidIdentityToken:
    "the account of the ServiceAccount's role needs an OIDC identity provider in IAM with the issuer of this cluster",
  IDPRejectedClaim:
    "IAM's OIDC identity provider for the cluster must accept the audience of the ServiceAccount's token: sts.amazonaws.com",
  IDPCommunicationError: "STS does not reach the cluster's OIDC issuer; the service retries",
};

/** Texts of errors whose name has many causes. */
const BY_TEXT: readonly (readonly [RegExp, string])[] = [
  // hashicorp/terraform-provider-aws#39064
  [
    /PolicyText.*Principal not found/,
    'a principal of ecrOptions.accessPolicy does not exist, or IAM created it a moment ago; the service retries',
  ],
  // awsdocs/amazon-ecr-user-guide#20, hashicorp/terraform-provider-aws#3924
  [
    /PolicyText.*Invalid repository policy/,
    'check ecrOptions.accessPolicy: its principals must exist, and a policy of a repository has no Resource',
  ],
  // cloudposse/terraform-aws-ecr#158
  [/LifecyclePolicyText/, 'check ecrOptions.lifecyclePolicy: ECR accepts only the keys of its syntax, and no null'],
  [/^RequestTimeTooSkewed|^RequestExpired|signature (not yet current|expired)/i, 'the clock of this node is wrong'],
  // Also the answer to a session token for a region that the account has not enabled:
  // docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html
  [
    /^(UnrecognizedClient|InvalidClientTokenId)\b/,
    'the AWS credentials are invalid, or the account has not enabled this region',
  ],
];

/** The remedy, as a continuation of the message; empty if AWS's own words say it. */
export function awsAdvice(failure: AwsFailure): string {
  const advice = adviceFor(failure);
  return advice === undefined ? '' : `; ${advice}`;
}

function adviceFor(failure: AwsFailure): string | undefined {
  const { kind, name, whole, file, source } = failure;
  const named = BY_NAME[name] ?? BY_TEXT.find(([pattern]) => pattern.test(`${name} ${whole}`))?.[1];
  if (named !== undefined) return named;
  if (file !== undefined) {
    return 'the file must be mounted, and readable for the user of the container (fsGroup)';
  }
  switch (kind) {
    case 'forbidden':
      return accessAdvice(failure);
    case 'unauthorized':
      if (name !== 'CredentialsProviderError') return 'the AWS credentials are invalid or have expired';
      // Any other text of the SDK names the one source that failed.
      return /from any providers/.test(whole) ? missingCredentials(source) : undefined;
    case 'unreachable':
      if (/certificate/i.test(whole)) return 'set AWS_CA_BUNDLE to the file with its CA certificate';
      return proxyRefusalAdvice(whole) ?? 'check the network, the proxy variables and AWS_ENDPOINT_URL_*';
    default:
      return undefined;
  }
}

/**
 * IAM names the policy that decided
 * (docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html): `because no session policy allows the …
 * action`, `with an explicit deny in a service control policy`.
 */
const DENIED_BY = /with an explicit deny in an? ((?:[\w-]+ ){1,3}?(?:policy|boundary))/;
const NOT_ALLOWED_BY = /because no ((?:[\w-]+ ){1,3}?(?:policy|boundary)) allows/;
/** `not authorized to perform: ecr:TagResource on resource: ARN`; STS writes it without a colon. */
const REFUSED = /not authorized to perform:? ([a-z][a-z0-9-]*:\w+)(?: on resource: (\S+))?/i;

/** The action and the resource in IAM's refusal: one call may need several actions. */
export function refusedIn(
  text: string,
): { readonly action: string; readonly resource: string | undefined } | undefined {
  const [, action, resource] = REFUSED.exec(text) ?? [];
  return action === undefined ? undefined : { action, resource };
}

function accessAdvice(failure: AwsFailure): string {
  const { whole } = failure;
  const refused = refusedIn(whole);
  const action = refused?.action ?? failure.action;
  const isOther = action !== failure.action;
  const resource = (isOther ? refused?.resource : undefined) ?? failure.resource;
  if (isAboutRole(action, whole)) return roleAdvice(action, resource);
  return decidedElsewhere(whole, action, resource) ?? `the identity's policy needs ${statement([action], resource)}`;
}

const ROLE_ACTIONS = /^sts:(?:AssumeRole(?:WithWebIdentity)?|TagSession|SetSourceIdentity)$/;

/** Whether a role's trust policy decided: it is the role's resource-based policy, and IAM seldom names it. */
function isAboutRole(action: string, text: string): boolean {
  const missing = NOT_ALLOWED_BY.exec(text)?.[1] ?? 'resource-based policy';
  return ROLE_ACTIONS.test(action) && !DENIED_BY.test(text) && /^(?:identity|resource)-based policy$/.test(missing);
}

/** Whether a statement in the identity's policy does not help, because another policy decided. */
export function isDecidedElsewhere(text: string): boolean {
  return decidedElsewhere(text, '', '') !== undefined;
}

/** The remedy if a statement in the identity's policy does not help, because another policy decided. */
function decidedElsewhere(text: string, action: string, resource: string): string | undefined {
  const denied = DENIED_BY.exec(text)?.[1];
  if (denied !== undefined) return `the ${denied} denies it, and no other policy overrides that`;
  const missing = NOT_ALLOWED_BY.exec(text)?.[1];
  if (missing === 'resource-based policy') {
    const account = /^arn:[^:]*:[a-z]+:[^:]*:([0-9]+):/.exec(resource)?.[1];
    const where = account === undefined ? "the registry's account" : `account ${account}`;
    return `the identity belongs to another account: set aws.role to a role of ${where} that has ${action}`;
  }
  return missing === undefined || missing === 'identity-based policy'
    ? undefined
    : `the ${missing} must also allow ${action}`;
}

function roleAdvice(action: string, role: string): string {
  switch (action) {
    // docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
    case 'sts:AssumeRoleWithWebIdentity':
      return "the trust policy of the ServiceAccount's role (AWS_ROLE_ARN) must name this cluster's OIDC provider and system:serviceaccount:NAMESPACE:NAME of this ServiceAccount";
    // docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html: its session tags go along to further roles.
    case 'sts:TagSession':
      return `EKS Pod Identity adds session tags: the role's trust policy must also allow sts:TagSession, and the identity needs ${statement([action], role)}`;
    default:
      return `the role's trust policy must let this identity assume it (if it requires an external ID, with aws.externalId), and the identity needs ${statement([action], role)}`;
  }
}

/** One statement of an IAM policy. */
export function statement(actions: readonly string[], resource: string): string {
  return JSON.stringify({ Effect: 'Allow', Action: actions.length === 1 ? actions[0] : actions, Resource: resource });
}
