import { RegistryError } from '../../registry/errors.js';
import type { RegistryErrorKind } from '../../registry/errors.js';
import { GOOGLE_REFUSALS, wordedRefusal } from '../../registry/transport/worded-refusals.js';
import type { WordedRefusal } from '../../registry/transport/worded-refusals.js';
import { messageOf } from '../../util/message-of.js';
import { proxyRefusalAdvice } from '../proxy-refusal.js';
import { parseBoundedJson } from '../../core/json-bounds.js';

/** A call of Artifact Registry's API, with its requirements. */
export interface ApiCall {
  /** The name in the API's reference: `CreateRepository`. */
  readonly method: string;
  /** `projects/P/locations/L/repositories/R` */
  readonly resource: string;
  readonly permission: string;
  /** The smallest of Google's predefined roles with the permission, and the resource to grant it on. */
  readonly role: string;
  readonly on: 'repository' | 'project';
}

/** gRPC's status codes (google/rpc/code.proto). */
const CODES: Readonly<Record<number, RegistryErrorKind>> = {
  3: 'invalid',
  4: 'unreachable',
  5: 'absent',
  6: 'conflict',
  7: 'forbidden',
  8: 'throttled',
  9: 'invalid',
  // Someone else changes the same resource at this moment.
  10: 'server',
  13: 'server',
  14: 'unreachable',
  16: 'unauthorized',
};

/** Describes the error of an API call with the role to grant. Never contains a token. */
export function apiProblem(host: string, call: ApiCall, error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  const text = errorText(error);
  const worded = wordedRefusal(`${reasonOf(error)} ${messageOf(error)}`, API_REFUSALS);
  const kind = worded?.kind ?? kindOf(error);
  const advice = worded === undefined ? apiAdvice(kind, call, error) : `; ${worded.advice}`;
  const message = `${call.method} of ${call.resource} failed: ${text}${advice}`;
  return new RegistryError(message, { kind, host, advised: advice !== '', cause: error });
}

const API_REFUSALS: readonly WordedRefusal[] = [
  ...GOOGLE_REFUSALS,
  {
    // cloud.google.com/artifact-registry/docs/cmek
    words: /Cloud KMS key/i,
    kind: 'forbidden',
    advice:
      'grant roles/cloudkms.cryptoKeyEncrypterDecrypter on gcp.repository.kmsKey to the service agent of Artifact Registry, ' +
      'service-PROJECT_NUMBER@gcp-sa-artifactregistry.iam.gserviceaccount.com',
  },
];

function apiAdvice(kind: RegistryErrorKind, { permission, role, on }: ApiCall, error: unknown): string {
  switch (kind) {
    case 'forbidden':
      return `; grant ${role} on the ${on} (${permission} is needed)`;
    case 'absent':
      return `; check gcp.projectId, gcp.location and gcp.repositoryId`;
    case 'unreachable':
      return `; ${connectionAdvice(messageOf(error)) ?? 'check the network, the proxy variables and gcp.endpoint'}`;
    default:
      return '';
  }
}

export interface AuthContext {
  readonly host: string;
  /** The file with the credentials; undefined for the metadata server. */
  readonly origin: string | undefined;
  readonly serviceAccount: string | undefined;
}

/**
 * Describes why there is no token, with the remedy. Always retryable, because metadata servers, files and roles may
 * come late.
 */
export function authProblem(error: unknown, { host, origin, serviceAccount }: AuthContext): RegistryError {
  if (error instanceof RegistryError) return error;
  const from = origin ?? 'the metadata server';
  const details = { host, retryable: true, advised: true, cause: error };
  const status = statusOf(error);
  const kind = kindOf(error);
  if (serviceAccount !== undefined && /unable to impersonate/.test(messageOf(error)) && status !== undefined) {
    const text =
      `${serviceAccount} cannot be impersonated with ${from}: ${errorText(error)}; grant ` +
      `roles/iam.serviceAccountTokenCreator on it to that identity and enable iamcredentials.googleapis.com`;
    return new RegistryError(text, { ...details, kind: kind === 'absent' ? 'unauthorized' : kind });
  }
  const text = errorText(error);
  // Wrong credentials are not a fault of the request.
  const shown = kind === 'invalid' || kind === 'absent' || kind === 'conflict' ? 'unauthorized' : kind;
  return new RegistryError(`no token from ${from}: ${text}; ${tokenAdvice(kind, text)}`, { ...details, kind: shown });
}

/** Texts of Google's token services (cloud.google.com/iam/docs/troubleshooting-workload-identity-federation). */
const TOKEN_ADVICE: readonly (readonly [RegExp, string])[] = [
  // googleapis/google-api-php-client#1429: the times in the signed request are wrong.
  [/Token must be a short-lived token/i, 'the clock of this node is wrong'],
  // googleapis/google-cloud-go#12440
  [/is stale to sign-in/i, 'the token of the other cloud has expired: its file must be renewed in time'],
  [/attribute condition/i, 'the attribute condition of the workload identity provider does not accept this identity'],
  // google-github-actions/auth#60, #202
  [
    /invalid_target|Invalid value for .{0,3}audience/i,
    '"audience" in the file must be the full name of a workload identity provider that exists and is enabled: ' +
      '//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER',
  ],
  // google-github-actions/auth#526
  [
    /iam\.serviceAccounts\.getAccessToken/,
    'grant roles/iam.workloadIdentityUser on the service account to the federated identity, or ' +
      'roles/iam.serviceAccountTokenCreator to another one',
  ],
];

function connectionAdvice(text: string): string | undefined {
  const certificate = 'set NODE_EXTRA_CA_CERTS to the file with the CA certificate of the proxy in between';
  return proxyRefusalAdvice(text) ?? (/certificate/i.test(text) ? certificate : undefined);
}

function tokenAdvice(kind: RegistryErrorKind, text: string): string {
  const found = TOKEN_ADVICE.find(([words]) => words.test(text))?.[1] ?? connectionAdvice(text);
  if (found !== undefined) return found;
  return kind === 'unreachable' || kind === 'server' || kind === 'throttled'
    ? 'check the network and the proxy variables'
    : 'the credentials may have been revoked, or belong to another project';
}

function kindOf(error: unknown): RegistryErrorKind {
  if (error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError')) return 'unreachable';
  const { code } = (error ?? {}) as { readonly code?: unknown };
  const status = statusOf(error);
  if (status !== undefined) return kindOfStatus(status);
  if (proxyRefusalAdvice(messageOf(error)) !== undefined) return 'unreachable';
  if (typeof code === 'number') return CODES[code] ?? 'invalid';
  if (typeof code === 'string' && /^(?:E[A-Z]+|UND_ERR|CERT_|UNABLE_TO)/.test(code)) return 'unreachable';
  // gaxios wraps Node's errors, and keeps the code in the cause.
  const { cause } = (error ?? {}) as { readonly cause?: unknown };
  return cause instanceof Error && cause !== error ? kindOf(cause) : 'invalid';
}

function kindOfStatus(status: number): RegistryErrorKind {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'absent';
  // ABORTED; a repository that exists already does not get here.
  if (status === 409) return 'server';
  if (status === 429) return 'throttled';
  return status >= 500 ? 'server' : 'invalid';
}

/** HTTP status of an answer that a library turned into an error. */
function statusOf(error: unknown): number | undefined {
  const { response } = (error ?? {}) as { readonly response?: { readonly status?: unknown } };
  return typeof response?.status === 'number' ? response.status : undefined;
}

function reasonOf(error: unknown): string {
  const { reason } = (error ?? {}) as { readonly reason?: unknown };
  return typeof reason === 'string' ? reason : '';
}

/** The message from Google; it is logged: one line, no escape sequences, limited length. */
function errorText(error: unknown): string {
  const { response } = (error ?? {}) as { readonly response?: { readonly data?: unknown } };
  const text = innerMessage(response?.data) ?? messageOf(error);
  return text.replace(/[\p{Cc}\s]+/gu, ' ').slice(0, 400);
}

/**
 * `{"error": {"message"}}` of Google's APIs, `{"error", "error_description"}` of OAuth servers; text if a library did
 * not parse it.
 */
function innerMessage(data: unknown): string | undefined {
  let body = data;
  if (typeof body === 'string') {
    try {
      body = parseBoundedJson(body);
    } catch {
      return undefined;
    }
  }
  if (typeof body !== 'object' || body === null) return undefined;
  const { error, error_description: description } = body as Readonly<Record<string, unknown>>;
  if (typeof error === 'string') return typeof description === 'string' ? `${error}: ${description}` : error;
  const message = typeof error === 'object' && error !== null && 'message' in error ? error.message : undefined;
  return typeof message === 'string' ? message : undefined;
}
