import { quoteInput } from '../../core/image/quote.js';
import { parseUrl } from '../../util/parse-url.js';
import { RegistryError } from '../errors.js';
import type { TlsSettings } from '../types.js';
import { invalid, type RequestInfo } from './answers.js';
import type { Challenge } from './challenge.js';
import type { AddressPolicy } from './host-guard.js';
import { canonicalName } from './known-names.js';
import { hostname } from './proxy.js';
import { onTls } from './stay-on-tls.js';
import { isKnownTokenHost, isSameSite } from './same-site.js';

/** The connection that a challenge came over. */
export interface ChallengeOrigin {
  /** host[:port] of the registry, for messages. */
  readonly host: string;
  /** host[:port] that requires the login, if the registry redirects there. */
  readonly answeredBy?: string | undefined;
  readonly url: URL;
  /** HTTPS with a verified certificate. */
  readonly verified: boolean;
  readonly tls: TlsSettings;
  /** The addresses that the registry may refer to. */
  readonly redirectPolicy: AddressPolicy;
  /** Whether a host is another configured registry, which gets no credentials of this one. */
  readonly isOtherRegistry: (host: string) => boolean;
  /** Further hosts that receive the credentials, from `oci.tokenHosts`: host or host:port. */
  readonly tokenHosts?: readonly string[];
}

/**
 * Checks a realm, which comes from the registry: it must be a URL or a path on the registry, and HTTPS unless the
 * registry itself uses plain HTTP. Credentials are sent to the registry's own host; over a verified connection also to
 * its own site, to its known token servers, and to those in `oci.tokenHosts`; but never to another registry of the
 * configuration.
 *
 * @throws RegistryError: `invalid` for text that is not a URL, `refused` for a request that must not be sent there
 */
export function checkRealm(challenge: Challenge, origin: ChallengeOrigin, withCredentials: boolean): URL {
  const text = challenge.parameters.get('realm') ?? '';
  const { host, answeredBy, url } = origin;
  // Some registries send a path, without the host.
  const named = parseUrl(text, text.startsWith('/') ? url : undefined);
  if (named === undefined) {
    const asked: RequestInfo = { host, answeredBy, method: 'GET', url };
    throw invalid(asked, `the token realm ${quoteInput(text)} is not a URL`);
  }
  const realm = onTls(named, url) ?? named;
  const refuse = (message: string): RegistryError => new RegistryError(message, { kind: 'refused', host, answeredBy });
  const plain = realm.protocol === 'http:';
  if (!plain && realm.protocol !== 'https:') throw refuse(`the token realm ${realm.host} has scheme ${realm.protocol}`);
  if (plain && url.protocol === 'https:') throw refuse(`the token realm ${realm.host} is on plain HTTP`);
  realm.username = '';
  realm.password = '';
  if (!withCredentials || realm.origin === url.origin) return realm;
  const sameHost = hostname(realm) === hostname(url);
  if (!sameHost && (plain || !origin.verified)) {
    throw refuse(
      `the token realm is on another host, ${realm.host}, but it was received over an unverified connection`,
    );
  }
  if (origin.isOtherRegistry(realm.host)) throw refuse(`the token realm ${realm.host} is another registry`);
  if (!sameHost && !mayHaveLogin(realm, origin)) {
    throw refuse(
      `the token realm ${realm.host} is at another site, so it does not get the login: ` +
        `if it is the token server of ${answeredBy ?? host}, list ${realm.host} in oci.tokenHosts of that registry`,
    );
  }
  return realm;
}

function mayHaveLogin(realm: URL, origin: ChallengeOrigin): boolean {
  const [from, to] = [hostname(origin.url), hostname(realm)];
  const listed = (origin.tokenHosts ?? []).some((entry) =>
    [realm.host, canonicalName(to)].includes(entry.toLowerCase()),
  );
  return listed || isSameSite(from, to) || isKnownTokenHost(from, to);
}
