import { oneLine } from '../core/image/quote.js';
import { redactSecrets } from './sent-secrets.js';

/**
 * - absent: the repository, manifest or blob does not exist (404 to a read)
 * - missing: the registry lacks something that a write needs: its repository, or content that a manifest refers to (404
 * to a write)
 * - unauthorized: no credential was accepted (401)
 * - forbidden: a credential was accepted but lacks the permission (403)
 * - throttled: too many requests (429); with `retryAfter` if the registry sent it
 * - unreachable: no answer: DNS, connection, TLS, timeout
 * - invalid: an answer that violates the distribution spec, or bytes that do not match their digest
 * - conflict: an immutable tag points to something else
 * - quota: the registry's storage, or another limit, is used up
 * - policy: the registry withholds the image: it is vulnerable, not scanned yet, or not signed
 * - unsupported: the registry does not accept this media type, or foreign layers
 * - too-large: the registry, or a proxy in front of it, does not accept a body of this size (413)
 * - refused: this service does not send the request: the host or the redirect is not allowed
 * - server: 5xx
 */
export type RegistryErrorKind =
  | 'absent'
  | 'missing'
  | 'unauthorized'
  | 'forbidden'
  | 'throttled'
  | 'unreachable'
  | 'invalid'
  | 'conflict'
  | 'quota'
  | 'policy'
  | 'unsupported'
  | 'too-large'
  | 'refused'
  | 'server';

/** One entry of the `errors` list of an error body (distribution spec, "Error Codes"). */
export interface Diagnostic {
  readonly code: string;
  readonly message: string;
  /** The media type in `detail.mediaType` (zot). */
  readonly mediaType?: string;
}

export interface RegistryErrorDetails {
  readonly kind: RegistryErrorKind;
  /** host[:port] of the registry that the request was for. */
  readonly host: string;
  /** The request, such as `GET https://r.example/v2/x/manifests/1`; without queries, which may contain signatures. */
  readonly request?: string;
  /** host[:port] that answered, if the registry redirects there. */
  readonly answeredBy?: string | undefined;
  readonly status?: number;
  /** Milliseconds. */
  readonly retryAfter?: number;
  readonly retryable?: boolean;
  readonly diagnostics?: readonly Diagnostic[];
  /** The message already says what to do, so a general hint would contradict it. */
  readonly advised?: boolean;
  readonly cause?: unknown;
}

/** Why a request to a registry failed. The message names the request and the remedy, and contains no secret. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  readonly kind: RegistryErrorKind;
  readonly host: string;
  readonly request: string | undefined;
  readonly answeredBy: string | undefined;
  readonly status: number | undefined;
  readonly retryAfter: number | undefined;
  /** Whether the same request may succeed later without any change. */
  readonly retryable: boolean;
  readonly diagnostics: readonly Diagnostic[];
  readonly advised: boolean;

  constructor(message: string, details: RegistryErrorDetails) {
    const where = details.request === undefined ? details.host : details.request;
    const redirects = details.answeredBy === undefined ? '' : ` (${details.host} redirects there)`;
    // Registries choose parts of the text, which goes to logs and terminals and may even repeat a login.
    const text = oneLine(redactSecrets(`${where}: ${message}${redirects}`));
    super(text, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = details.kind;
    this.host = details.host;
    this.request = details.request && redactSecrets(details.request);
    this.answeredBy = details.answeredBy;
    this.status = details.status;
    this.retryAfter = details.retryAfter;
    this.retryable = details.retryable ?? RETRYABLE.has(details.kind);
    this.diagnostics = (details.diagnostics ?? []).map(({ code, message: text }) => ({
      code: redactSecrets(code),
      message: redactSecrets(text),
    }));
    this.advised = details.advised ?? false;
  }

  /** The message without the request, whose path could be taken for words of the registry. */
  get responseText(): string {
    const where = `${this.request ?? this.host}: `;
    return this.message.startsWith(where) ? this.message.slice(where.length) : this.message;
  }

  /** The same error in another class, with `advice` after its message. */
  as(changes: {
    readonly kind: RegistryErrorKind;
    readonly retryable?: boolean;
    readonly retryAfter?: number;
    readonly advice?: string;
  }): RegistryError {
    const { host, request, status, diagnostics, advised, answeredBy } = this;
    const redirects = answeredBy === undefined ? '' : ` (${host} redirects there)`;
    const text = this.responseText.slice(0, this.responseText.length - redirects.length);
    const retryAfter = changes.retryAfter ?? this.retryAfter;
    return new RegistryError(changes.advice === undefined ? text : `${text}: ${changes.advice}`, {
      host,
      answeredBy,
      diagnostics,
      kind: changes.kind,
      advised: advised || changes.advice !== undefined,
      cause: this.cause ?? this,
      ...(request !== undefined && { request }),
      ...(status !== undefined && { status }),
      ...(retryAfter !== undefined && { retryAfter }),
      ...(changes.retryable !== undefined && { retryable: changes.retryable }),
    });
  }
}

const RETRYABLE: ReadonlySet<RegistryErrorKind> = new Set(['throttled', 'unreachable', 'server']);

/** `METHOD url` without query, fragment and user info: signed blob URLs carry their secret in the query. */
export function describeRequest(method: string, url: URL): string {
  return `${method} ${url.protocol}//${url.host}${url.pathname}`;
}
