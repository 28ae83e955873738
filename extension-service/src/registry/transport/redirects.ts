import type { IncomingMessage } from 'node:http';
import { parseUrl } from '../../util/parse-url.js';
import { RegistryError } from '../errors.js';
import { header, invalid, type RequestInfo } from './answers.js';
import type { SessionRequest } from './request.js';
import { onTls } from './stay-on-tls.js';

export const MAX_REDIRECTS = 5;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Redirects that keep any method (RFC 9110, sections 15.4.8 and 15.4.9). */
const KEEPS_METHOD = new Set([307, 308]);

/** Whether an answer is a redirect that the caller does not expect as a result. */
export function isRedirect({ statusCode = 0 }: IncomingMessage, { accept }: SessionRequest): boolean {
  return REDIRECTS.has(statusCode) && !accept.includes(statusCode);
}

/**
 * The target of a redirect, for the same request with its method and body. GET and HEAD follow every redirect; writes
 * only follow 307 and 308, since 303 requires a GET and clients differ on 301 and 302. Throws a RegistryError if the
 * request cannot be sent there.
 *
 * @param hops number of redirects followed before
 */
export function redirectTarget(
  response: IncomingMessage,
  request: SessionRequest,
  asked: RequestInfo,
  hops: number,
): URL {
  const { statusCode: status = 0 } = response;
  if (hops === MAX_REDIRECTS) throw invalid(asked, `redirects more than ${MAX_REDIRECTS} times`);
  const location = header(response, 'location');
  const named = location === undefined ? undefined : parseUrl(location, asked.url);
  if (named === undefined) throw invalid(asked, 'redirects without a valid URL');
  const next = onTls(named, asked.url) ?? named;
  const place = `${next.protocol}//${next.host}`;
  if (next.protocol !== 'https:' && (next.protocol !== 'http:' || asked.url.protocol === 'https:')) {
    const { host, answeredBy } = asked;
    throw new RegistryError(`redirects from ${asked.url.protocol} to ${place}`, { kind: 'refused', host, answeredBy });
  }
  if (request.method === 'GET' || request.method === 'HEAD') return next;
  if (!KEEPS_METHOD.has(status)) {
    const advice = 'only 307 and 308 keep the method; configure the registry under its new name';
    throw invalid(asked, `redirects a ${request.method} to ${place} with status ${status}: ${advice}`);
  }
  if (typeof request.body === 'function') {
    const advice = 'the body cannot be sent twice; configure the registry under its new name';
    throw invalid(asked, `redirects a ${request.method} to ${place} while the body is sent: ${advice}`);
  }
  return next;
}
