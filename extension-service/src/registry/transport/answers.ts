import type { IncomingMessage } from 'node:http';
import { describeRequest, RegistryError, type Diagnostic, type RegistryErrorKind } from '../errors.js';
import { abortReason } from './abort.js';
import { parseDiagnostics } from './diagnostics.js';
import { readErrorBody } from './discard.js';
import { RefusedAddressError } from './http.js';
import { parseRetryAfter } from './retry.js';

/** What an answer is about, for messages. */
export interface Asked {
  /** host[:port] of the registry, also where it redirects. */
  readonly host: string;
  /** host[:port] of who answers, when the registry redirects there. */
  readonly answeredBy?: string | undefined;
  readonly method: string;
  readonly url: URL;
}

/** Reads a body into memory; throws a RegistryError when it is longer than `limit` bytes or breaks off. */
export async function readBody(
  response: IncomingMessage,
  limit: number,
  asked: Asked,
  signal?: AbortSignal,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of response as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > limit) break;
      pieces.push(piece);
    }
  } catch (error) {
    throw networkError(error, asked, signal);
  }
  if (size > limit) throw invalid(asked, `the answer is longer than ${limit} bytes`);
  return Buffer.concat(pieces, size);
}

export function invalid(asked: Asked, message: string, cause?: unknown): RegistryError {
  const request = describeRequest(asked.method, asked.url);
  return new RegistryError(message, {
    kind: 'invalid',
    host: asked.host,
    answeredBy: asked.answeredBy,
    request,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The error for an answer whose status is not what was wanted; reads its body, at most 64 KiB. */
export async function statusError(
  response: IncomingMessage,
  asked: Asked,
  now: number,
  classify: typeof kindOf = kindOf,
): Promise<RegistryError> {
  const status = response.statusCode ?? 0;
  const body = await readErrorBody(response);
  const diagnostics = parseDiagnostics(body);
  const retryAfter = parseRetryAfter(response.headers['retry-after'], now);
  const kind = classify(status, diagnostics);
  const said = diagnostics
    .map((entry) => [entry.code, entry.message].filter((text) => text !== '').join(': '))
    .join('; ');
  const html = /^\s*(<!doctype html|<html)/i.test(body)
    ? ' (an HTML page: is there a proxy or login page in between?)'
    : '';
  const hint = HINTS[kind] ?? '';
  return new RegistryError(`HTTP ${status}${said === '' ? '' : ` ${said}`}${html}${hint}`, {
    kind,
    host: asked.host,
    answeredBy: asked.answeredBy,
    request: describeRequest(asked.method, asked.url),
    status,
    diagnostics,
    retryable: kind === 'throttled' || kind === 'server' || status === 408,
    ...(retryAfter === undefined ? {} : { retryAfter }),
  });
}

const HINTS: Partial<Record<RegistryErrorKind, string>> = {
  unauthorized: ': no credential was accepted; check the pull secrets or the credentials in the configuration',
  forbidden: ': the credentials may not do this',
  conflict: ': the tag is immutable and holds another image',
};

/** What a registry's status stands for. */
export function kindOf(status: number, diagnostics: readonly Diagnostic[]): RegistryErrorKind {
  const codes = diagnostics.map((diagnostic) => `${diagnostic.code} ${diagnostic.message}`).join(' ');
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'absent';
  if (status === 429 || codes.includes('TOOMANYREQUESTS')) return 'throttled';
  if (status === 409 || status === 412 || /immutable|ImageTagAlreadyExists|TAG_INVALID/i.test(codes)) return 'conflict';
  return status >= 500 ? 'server' : 'invalid';
}

const CERTIFICATE = /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT|HOSTNAME_MISMATCH)/;

/** What node says when there is no answer, or no end to it, as a RegistryError; an abort by `signal` stays its reason. */
export function networkError(error: unknown, asked: Asked, signal?: AbortSignal): Error {
  if (error instanceof RegistryError) return error;
  if (signal?.aborted === true) return abortReason(signal);
  const { host, answeredBy } = asked;
  const details = { host, answeredBy, request: describeRequest(asked.method, asked.url), cause: error };
  if (error instanceof RefusedAddressError) return new RegistryError(error.message, { ...details, kind: 'refused' });
  const { code = '', message } = (error instanceof Error ? error : new Error(String(error))) as NodeJS.ErrnoException;
  if (CERTIFICATE.test(code)) {
    const text = `the certificate is not trusted (${code}): set caFile to its authority, or insecure`;
    return new RegistryError(text, { ...details, kind: 'unreachable', retryable: false });
  }
  if (isNotTls(error)) {
    const text = 'does not speak HTTPS: set insecure for a registry on plain HTTP';
    return new RegistryError(text, { ...details, kind: 'unreachable', retryable: false });
  }
  if (code === 'ENOTFOUND') {
    return new RegistryError('the host name does not exist', { ...details, kind: 'unreachable', retryable: false });
  }
  return new RegistryError(code === '' ? message : `${code}: ${message}`, { ...details, kind: 'unreachable' });
}

/** Whether a TLS handshake met something that is not TLS. */
export function isNotTls(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException;
  return code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG';
}

export function header(response: IncomingMessage, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
