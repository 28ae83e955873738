import type { IncomingMessage } from 'node:http';
import { parseUrl } from '../../util/parse-url.js';
import { RegistryError } from '../errors.js';
import { header, invalid, type RequestInfo } from './answers.js';
import type { SessionRequest } from './request.js';
import { onTls } from './stay-on-tls.js';

export const MAX_REDIRECTS = 5;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Those that keep the method whatever it is (RFC 9110, sections 15.4.8 and 15.4.9). */
const KEEPS_METHOD = new Set([307, 308]);

/** Whether an answer sends us elsewhere and is not what the caller waits for. */
export function isRedirect({ statusCode = 0 }: IncomingMessage, { accept }: SessionRequest): boolean {
  return REDIRECTS.has(statusCode) && !accept.includes(statusCode);
}

/**
 * Where a redirect leads, for the same request: its method and body stay. GET and HEAD follow every redirect; what writes
 * follows 307 and 308 alone, since 303 asks for a GET and clients differ on 301 and 302. Throws a RegistryError when the
 * request cannot be sent there.
 *
 * @param hops redirects that were followed before
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
