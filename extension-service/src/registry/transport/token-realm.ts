import { RegistryError } from '../errors.js';
import { invalid, type Asked } from './answers.js';
import type { Challenge } from './challenge.js';
import type { AddressPolicy } from './host-guard.js';
import { hostname } from './proxy.js';

/** The connection that a challenge came over. */
export interface ChallengeOrigin {
  /** host[:port] of the registry, for messages. */
  readonly host: string;
  /** host[:port] of who asks for the login, when the registry redirects there. */
  readonly answeredBy?: string | undefined;
  readonly url: URL;
  /** HTTPS with a certificate that was checked. */
  readonly verified: boolean;
  readonly tls: { readonly verify: boolean; readonly ca?: string };
  /** Where the registry may send us. */
  readonly onward: AddressPolicy;
  /** Whether a host is another registry that we have configuration for: it gets no credentials of this one. */
  readonly isOtherRegistry: (host: string) => boolean;
}

const MAX_REALM_IN_MESSAGE = 200;

/**
 * The realm is text from the registry: it must be a URL, or a path on the registry; HTTPS unless the registry itself is on
 * plain HTTP; and it gets credentials only if it is on the registry's host, or if a verified registry named it (Docker Hub
 * and others have their token server on another host), and it is no other registry of ours.
 */
export function checkRealm(challenge: Challenge, origin: ChallengeOrigin, withCredentials: boolean): URL {
  const text = challenge.parameters.get('realm') ?? '';
  const { host, answeredBy, url } = origin;
  const realm = parseRealm(text, url);
  if (realm === undefined) {
    const asked: Asked = { host, answeredBy, method: 'GET', url };
    throw invalid(asked, `the token realm "${text.slice(0, MAX_REALM_IN_MESSAGE)}" is not a URL`);
  }
  const refuse = (message: string): RegistryError => new RegistryError(message, { kind: 'refused', host, answeredBy });
  const plain = realm.protocol === 'http:';
  if (!plain && realm.protocol !== 'https:') throw refuse(`the token realm ${realm.host} has scheme ${realm.protocol}`);
  if (plain && url.protocol === 'https:') throw refuse(`the token realm ${realm.host} is on plain HTTP`);
  realm.username = '';
  realm.password = '';
  if (!withCredentials || realm.origin === url.origin) return realm;
  if (hostname(realm) !== hostname(url) && (plain || !origin.verified)) {
    throw refuse(`the token realm is on another host, ${realm.host}, and the connection that says so is not verified`);
  }
  if (origin.isOtherRegistry(realm.host)) throw refuse(`the token realm ${realm.host} is another registry`);
  return realm;
}

/** Some registries name a path of their own, without the host. */
function parseRealm(text: string, base: URL): URL | undefined {
  try {
    return text.startsWith('/') ? new URL(text, base) : new URL(text);
  } catch {
    return undefined;
  }
}
