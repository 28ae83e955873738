import type { IncomingMessage } from 'node:http';
import { parseUrl } from '../../util/parse-url.js';
import { header } from './answers.js';
import { hostname } from './proxy.js';
import { onTls } from './stay-on-tls.js';

/** Redirects that keep a GET, and those that also keep a POST (RFC 9110, section 15.4). */
const KEEPS: Readonly<Record<string, ReadonlySet<number>>> = {
  GET: new Set([301, 302, 303, 307, 308]),
  POST: new Set([307, 308]),
};

/**
 * The new URL if a token server redirects to itself: another path of the same origin, or the same host on HTTPS.
 * Undefined for every other answer. Another server is not the one that was named, so it gets neither the login nor the
 * request.
 */
export function ownRedirect(response: IncomingMessage, method: string, url: URL): URL | undefined {
  if (KEEPS[method]?.has(response.statusCode ?? 0) !== true) return undefined;
  const location = header(response, 'location');
  const named = location === undefined ? undefined : parseUrl(location, url);
  if (named === undefined) return undefined;
  const next = onTls(named, url) ?? named;
  next.username = '';
  next.password = '';
  const movesToTls = url.protocol === 'http:' && next.protocol === 'https:' && next.port === '';
  const isSameServer = next.origin === url.origin || (movesToTls && hostname(next) === hostname(url));
  return isSameServer ? next : undefined;
}
