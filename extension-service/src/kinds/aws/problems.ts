import { RegistryError } from '../../registry/errors.js';
import type { RegistryErrorKind } from '../../registry/errors.js';
import { messageOf } from '../../util/message-of.js';

/** A call that failed as part of another one, such as assuming the role for it. */
export class AwsCallError extends Error {
  override readonly name = 'AwsCallError';

  /** `action` in IAM's form, `ecr:CreateRepository`; `resource` is its ARN or name. */
  constructor(
    readonly action: string,
    readonly resource: string,
    override readonly cause: unknown,
  ) {
    super(`${action} on ${resource} failed`, { cause });
  }
}

/** Classes of the errors of AWS's services, by error name. */
const KINDS: Readonly<Record<string, RegistryErrorKind>> = {
  AccessDenied: 'forbidden',
  AccessDeniedException: 'forbidden',
  UnauthorizedException: 'forbidden',
  RegionDisabledException: 'forbidden',
  KmsException: 'forbidden',
  RepositoryLimitExceeded: 'refused',
  ThrottlingException: 'throttled',
  Throttling: 'throttled',
  ThrottledException: 'throttled',
  TooManyRequestsException: 'throttled',
  RequestLimitExceeded: 'throttled',
  CredentialsProviderError: 'unauthorized',
  TokenProviderError: 'unauthorized',
  ExpiredToken: 'unauthorized',
  ExpiredTokenException: 'unauthorized',
  InvalidClientTokenId: 'unauthorized',
  InvalidIdentityToken: 'unauthorized',
  IDPCommunicationError: 'unreachable',
  InvalidSignatureException: 'unauthorized',
  SignatureDoesNotMatch: 'unauthorized',
  UnrecognizedClientException: 'unauthorized',
  RepositoryNotFoundException: 'absent',
  ImageNotFoundException: 'absent',
  SigningConfigurationNotFoundException: 'absent',
  InvalidParameterException: 'invalid',
  InvalidTagParameterException: 'invalid',
  TooManyTagsException: 'invalid',
  ValidationException: 'invalid',
  ServerException: 'server',
  InternalFailure: 'server',
  ServiceUnavailable: 'server',
  TimeoutError: 'unreachable',
  AbortError: 'unreachable',
};

/**
 * Describes the error of a call with the action, the resource and the remedy; an IAM administrator finds the statement
 * to add in it. Never contains credentials: AWS's messages name identities but not their keys.
 */
export function awsProblem(host: string, action: string, resource: string, error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  if (error instanceof AwsCallError) return awsProblem(host, error.action, error.resource, error.cause);
  const name = error instanceof Error ? error.name : '';
  const kind = KINDS[name] ?? kindOfNetworkError(error);
  // The SDK could not parse the answer: it came from an intermediary.
  const unexpected =
    error instanceof SyntaxError
      ? 'the response is not from AWS: is there a proxy or login page in between?'
      : undefined;
  const text = unexpected ?? oneLine(messageOf(error));
  const message = `${action} on ${resource} failed: ${name === '' || name === 'Error' ? '' : `${name}: `}${text}${advice({ kind, name, text, whole: messageOf(error), action, resource })}`;
  return new RegistryError(message, {
    kind,
    host,
    // A role or key may be fixed without a change here, but not within a minute.
    retryable: kind === 'throttled' || kind === 'unreachable' || kind === 'server',
    cause: error,
  });
}

function kindOfNetworkError(error: unknown): RegistryErrorKind {
  const { code, $metadata } = (error ?? {}) as { code?: unknown; $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  if (status === undefined) return typeof code === 'string' ? 'unreachable' : 'invalid';
  if (status === 429) return 'throttled';
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  return status >= 500 ? 'server' : 'invalid';
}

interface Failure {
  readonly kind: RegistryErrorKind;
  readonly name: string;
  /** AWS's message, shortened. */
  readonly text: string;
  readonly whole: string;
  readonly action: string;
  readonly resource: string;
}

function advice(failure: Failure): string {
  const { kind, name, text } = failure;
  if (name === 'RepositoryLimitExceeded') {
    return '; the account has reached an ECR quota: delete images that are not needed, or request a higher quota';
  }
  if (name === 'KmsException') return '; the identity needs kms:CreateGrant and kms:DescribeKey on the key';
  if (name === 'RegionDisabledException') return '; activate STS for this region in the account settings of IAM';
  switch (kind) {
    case 'forbidden':
      return `; ${accessAdvice(failure)}`;
    case 'unauthorized':
      return name === 'CredentialsProviderError'
        ? '; there are no AWS credentials: provide a Secret with keys (awsSecretName), a role for the ServiceAccount (IRSA), or an EKS Pod Identity association'
        : '; the AWS credentials are invalid or have expired';
    case 'unreachable':
      if (/certificate/i.test(text)) return '; set AWS_CA_BUNDLE to the file with its CA certificate';
      return '; check the network, the proxy variables and AWS_ENDPOINT_URL_*';
    default:
      return '';
  }
}

/**
 * IAM names the policy that decided
 * (docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html): `because no session policy allows the …
 * action`, `with an explicit deny in a service control policy`.
 */
const DENIED_BY = /with an explicit deny in an? ((?:[\w-]+ ){1,3}?(?:policy|boundary))/;
const NOT_ALLOWED_BY = /because no ((?:[\w-]+ ){1,3}?(?:policy|boundary)) allows/;

function accessAdvice({ whole, action, resource }: Failure): string {
  const denied = DENIED_BY.exec(whole)?.[1];
  if (denied !== undefined) return `the ${denied} denies it, and no other policy overrides that`;
  const missing = NOT_ALLOWED_BY.exec(whole)?.[1];
  if (action === 'sts:AssumeRole') {
    return `the role's trust policy must let this identity assume it, and the identity needs ${statement([action], resource)}`;
  }
  if (missing === 'resource-based policy') {
    const account = /^arn:[^:]*:ecr:[^:]*:([0-9]+):/.exec(resource)?.[1];
    const where = account === undefined ? "the registry's account" : `account ${account}`;
    return `the identity belongs to another account: set aws.role to a role of ${where} that has ${action}`;
  }
  if (missing !== undefined && missing !== 'identity-based policy') return `the ${missing} must also allow ${action}`;
  return `the identity's policy needs ${statement([action], resource)}`;
}

/** One statement of an IAM policy. */
export function statement(actions: readonly string[], resource: string): string {
  return JSON.stringify({ Effect: 'Allow', Action: actions.length === 1 ? actions[0] : actions, Resource: resource });
}

/** It is logged: one line, no escape sequences, limited length. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\s]+/gu, ' ').slice(0, 400);
}
