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
  const message = `${action} on ${resource} failed: ${name === '' || name === 'Error' ? '' : `${name}: `}${text}${advice(kind, name, text, action, resource)}`;
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

function advice(kind: RegistryErrorKind, name: string, text: string, action: string, resource: string): string {
  if (name === 'RepositoryLimitExceeded') {
    return '; the account has reached an ECR quota: delete images that are not needed, or request a higher quota';
  }
  if (name === 'KmsException') return '; the identity needs kms:CreateGrant and kms:DescribeKey on the key';
  switch (kind) {
    case 'forbidden':
      return action === 'sts:AssumeRole'
        ? `; the role's trust policy must let this identity assume it, and the identity needs ${statement([action], resource)}`
        : `; the identity's policy needs ${statement([action], resource)}`;
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

/** One statement of an IAM policy. */
export function statement(actions: readonly string[], resource: string): string {
  return JSON.stringify({ Effect: 'Allow', Action: actions.length === 1 ? actions[0] : actions, Resource: resource });
}

/** It is logged: one line, no escape sequences, limited length. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\s]+/gu, ' ').slice(0, 400);
}
