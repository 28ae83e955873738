import { RegistryError } from '../../registry/errors.js';
import type { RegistryErrorKind } from '../../registry/errors.js';
import { messageOf } from '../../util/message-of.js';
import { proxyRefusalAdvice } from '../proxy-refusal.js';
import { awsAdvice, refusedIn } from './advice.js';
import { sourceIn } from './credential-source.js';

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

/**
 * Classes of the errors of AWS's services, by error name; the same error has a name with and without `Exception`,
 * depending on the service and the SDK.
 */
const KINDS: Readonly<Record<string, RegistryErrorKind>> = {
  AccessDenied: 'forbidden',
  Unauthorized: 'forbidden',
  RegionDisabled: 'forbidden',
  OptInRequired: 'forbidden',
  Kms: 'forbidden',
  RepositoryLimitExceeded: 'refused',
  Throttling: 'throttled',
  Throttled: 'throttled',
  TooManyRequests: 'throttled',
  RequestLimitExceeded: 'throttled',
  CredentialsProviderError: 'unauthorized',
  TokenProviderError: 'unauthorized',
  ExpiredToken: 'unauthorized',
  InvalidClientTokenId: 'unauthorized',
  InvalidIdentityToken: 'unauthorized',
  IDPRejectedClaim: 'unauthorized',
  IDPCommunicationError: 'unreachable',
  InvalidSignature: 'unauthorized',
  SignatureDoesNotMatch: 'unauthorized',
  RequestTimeTooSkewed: 'unauthorized',
  RequestExpired: 'unauthorized',
  UnrecognizedClient: 'unauthorized',
  RepositoryNotFound: 'absent',
  ImageNotFound: 'absent',
  SigningConfigurationNotFound: 'absent',
  InvalidParameter: 'invalid',
  InvalidTagParameter: 'invalid',
  TooManyTags: 'invalid',
  Validation: 'invalid',
  Server: 'server',
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
  const file = unreadableFile(error);
  const kind = KINDS[baseName(name)] ?? (file === undefined ? kindOfNetworkError(error) : 'unauthorized');
  // The SDK could not parse the answer: it came from an intermediary.
  const unexpected =
    error instanceof SyntaxError
      ? 'the response is not from AWS: is there a proxy or login page in between?'
      : undefined;
  const text = unexpected ?? oneLine(messageOf(error));
  const failure = {
    kind,
    name: baseName(name),
    whole: messageOf(error),
    action,
    resource,
    file,
    source: sourceIn(error),
  };
  const advice = awsAdvice(failure);
  const message = `${action} on ${resource} failed: ${name === '' || name === 'Error' ? '' : `${name}: `}${text}${advice}`;
  return new RegistryError(message, {
    kind,
    host,
    advised: advice !== '',
    // A role or key may be fixed without a change here, but not within a minute. Files are mounted late, and renewed.
    retryable: kind === 'throttled' || kind === 'unreachable' || kind === 'server' || file !== undefined,
    cause: error,
  });
}

/** The action that AWS refused, which may be another one than the call's: `ecr:TagResource` for CreateRepository. */
export function refusedAction(error: unknown): string | undefined {
  return error instanceof AwsCallError ? refusedAction(error.cause) : refusedIn(messageOf(error))?.action;
}

function baseName(name: string): string {
  return name.replace(/Exception$/, '');
}

/** The file with credentials that could not be read: the SDK throws Node's error for it. */
function unreadableFile(error: unknown): string | undefined {
  const { syscall, path } = (error ?? {}) as { readonly syscall?: unknown; readonly path?: unknown };
  return (syscall === 'open' || syscall === 'read') && typeof path === 'string' ? path : undefined;
}

function kindOfNetworkError(error: unknown): RegistryErrorKind {
  const { code, $metadata } = (error ?? {}) as { code?: unknown; $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  if (status === undefined)
    return typeof code === 'string' || proxyRefusalAdvice(messageOf(error)) !== undefined ? 'unreachable' : 'invalid';
  if (status === 429) return 'throttled';
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  return status >= 500 ? 'server' : 'invalid';
}

/** It is logged: one line, no escape sequences, limited length. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\s]+/gu, ' ').slice(0, 400);
}
