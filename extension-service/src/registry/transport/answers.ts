import type { IncomingMessage } from 'node:http';
import { describeRequest, RegistryError } from '../errors.js';
import { abortReason } from './abort.js';
import { header, invalid, type RequestInfo } from './request-info.js';
import { decodedBody } from './content-coding.js';
import { parseDiagnostics, plainText } from './diagnostics.js';
import { discard, readErrorBody } from './discard.js';
import { RefusedAddressError } from './http.js';
import { parseRetryAfter } from './retry.js';
import { isAboutClientCertificate, isAboutHandshake, isNotTls, tlsAlertOf } from './tls-alerts.js';
import { CLIENT_CERTIFICATE_ADVICE, classOf, type Refusal, type RefusalClass } from './status-class.js';
import { messageOf } from '../../util/message-of.js';

export { header, invalid, type RequestInfo } from './request-info.js';

/** Reads a body into memory; throws a RegistryError if it is longer than `limit` bytes or interrupted. */
export async function readBody(
  response: IncomingMessage,
  limit: number,
  asked: RequestInfo,
  signal?: AbortSignal,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of decodedBody(response, asked).stream as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > limit) break;
      pieces.push(piece);
    }
  } catch (error) {
    throw networkError(error, asked, signal);
  }
  if (size > limit) throw invalid(asked, `the response is longer than ${limit} bytes`);
  return Buffer.concat(pieces, size);
}

/** The error for an unexpected status, with the registry's words; reads the body, at most 64 KiB. */
export async function statusError(
  response: IncomingMessage,
  asked: RequestInfo,
  now: number,
  classify: (refusal: Refusal) => RefusalClass = classOf,
): Promise<RegistryError> {
  const status = response.statusCode ?? 0;
  const body = await readErrorBody(response, () => decodedBody(response, asked).stream);
  const diagnostics = parseDiagnostics(body);
  const words = diagnostics.length === 0 ? plainText(body) : '';
  const { method, url, host } = asked;
  const found = classify({ status, method, path: url.pathname, diagnostics, words });
  const isHtml = /^\s*(<!doctype html|<html)/i.test(body);
  const detail = isHtml
    ? ` (an HTML page${words === '' ? '' : ` "${words}"`}: is there a proxy or login page in between?)`
    : [...diagnostics.map(({ code, message }) => [code, message].filter((part) => part !== '').join(': ')), words]
        .filter((part) => part !== '')
        .map((part, index) => (index === 0 ? ` ${part}` : `; ${part}`))
        .join('');
  const retryAfter = parseRetryAfter(response.headers['retry-after'], clockOf(response, now)) ?? found.retryAfter;
  return new RegistryError(`HTTP ${status}${detail}${found.advice === undefined ? '' : `: ${found.advice}`}`, {
    kind: found.kind,
    host,
    answeredBy: asked.answeredBy,
    request: describeRequest(method, url),
    status,
    diagnostics,
    advised: found.advice !== undefined && found.isGeneral !== true,
    ...(found.retryable !== undefined && { retryable: found.retryable }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  });
}

/** The server's time, to which a date in Retry-After refers; our own time, if the server does not send it. */
function clockOf(response: IncomingMessage, now: number): number {
  const date = Date.parse(response.headers.date ?? '');
  return Number.isNaN(date) ? now : date;
}

/** Throws a RegistryError for a proxy's web page: registries answer writes without one. */
export function refusePage(response: IncomingMessage, asked: RequestInfo): void {
  if (!/^text\/html\b/i.test(header(response, 'content-type') ?? '')) return;
  discard(response);
  throw invalid(asked, 'answered an HTML page: is there a proxy or login page in between?');
}

const CERTIFICATE = /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT|HOSTNAME_MISMATCH)/;

/**
 * Converts Node's error for a missing or incomplete answer to a RegistryError; an abort by `signal` keeps its reason.
 */
export function networkError(error: unknown, asked: RequestInfo, signal?: AbortSignal): Error {
  if (error instanceof RegistryError) return error;
  if (signal?.aborted === true) return abortReason(signal);
  const { host, answeredBy } = asked;
  const details = { host, answeredBy, request: describeRequest(asked.method, asked.url), cause: error };
  if (error instanceof RefusedAddressError) return new RegistryError(error.message, { ...details, kind: 'refused' });
  const { code = '', message } = (error instanceof Error ? error : new Error(String(error))) as NodeJS.ErrnoException;
  if (CERTIFICATE.test(code)) {
    const text = `the certificate is not trusted (${code}): set caFile to its CA certificate, NODE_EXTRA_CA_CERTS to one for all registries, or insecure`;
    return new RegistryError(text, { ...details, kind: 'unreachable', retryable: false });
  }
  const alert = tlsAlertOf(error);
  if (alert !== undefined && isAboutClientCertificate(alert)) {
    const text = `refused the TLS connection (${alert}): ${CLIENT_CERTIFICATE_ADVICE}`;
    return new RegistryError(text, { ...details, kind: 'unauthorized', retryable: false, advised: true });
  }
  if (alert !== undefined && isAboutHandshake(alert)) {
    const text = `refused the TLS handshake (${alert}): there is no TLS version or cipher in common, or it requires a client certificate (oci.clientCertificate)`;
    return new RegistryError(text, { ...details, kind: 'unreachable', retryable: false });
  }
  if (isNotTls(error)) {
    const text = 'does not use HTTPS: set insecure for a registry on plain HTTP';
    return new RegistryError(text, { ...details, kind: 'unreachable', retryable: false });
  }
  if (code === 'ENOTFOUND') {
    return new RegistryError('the host name does not exist', { ...details, kind: 'unreachable', retryable: false });
  }
  // OpenSSL's own text contains memory addresses.
  const isTls = code.startsWith('ERR_SSL_') || alert !== undefined;
  const text = isTls ? 'the TLS connection failed' : message === '' ? textOfEach(error) : message;
  return new RegistryError(code === '' ? text : `${code}: ${text}`, { ...details, kind: 'unreachable' });
}

/** Node's error for several addresses of a name has no message of its own. */
function textOfEach(error: unknown): string {
  const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [];
  return errors.map(messageOf).join('; ');
}
