import type { Keychain, RegistryEndpoint, TlsSettings } from '../types.js';
import { tlsOf, withoutClientCertificate } from './base-url.js';

/** The registry at one origin: the registry itself, or one that it redirects to, such as a store of blobs. */
export interface OriginRegistry {
  readonly isOwn: boolean;
  /** host[:port] as references name it. */
  readonly host: string;
  /** Scheme, host and port alone. */
  readonly origin: URL;
  readonly tls: TlsSettings;
  /** HTTPS with a certificate that is checked. */
  readonly verified: boolean;
  /** Hosts at other sites whose token servers get its login. */
  readonly tokenHosts: readonly string[];
  /** Its own credentials alone. */
  readonly keychain: Keychain;
}

export interface OriginOptions {
  /** Of the registry that was asked. */
  readonly endpoint: RegistryEndpoint;
  readonly keychain: Keychain;
  /** For other registries. */
  readonly elsewhere: Keychain;
  readonly endpointOf: (host: string) => RegistryEndpoint | undefined;
}

const ANONYMOUS: Keychain = { resolve: async () => [] };

/**
 * The registry at the origin of `url` when the registry at `base` was asked. Another registry gets the credentials that are for
 * it, and only where it could be asked directly in the same way: a redirect takes neither the first registry's `insecure`
 * nor its CA certificate for a reason to send them.
 */
export function registryAt(url: URL, base: URL, options: OriginOptions): OriginRegistry {
  const { endpoint, keychain, elsewhere, endpointOf } = options;
  const origin = new URL(url.origin);
  const encrypted = url.protocol === 'https:';
  if (url.origin === base.origin) {
    const verified = encrypted && !endpoint.insecure;
    const { host, tokenHosts = [] } = endpoint;
    return { isOwn: true, host, origin, tls: tlsOf(endpoint), verified, tokenHosts, keychain };
  }
  const host = url.host === 'registry-1.docker.io' ? 'docker.io' : url.host;
  const own = endpointOf(host);
  // A registry's private store often has the same certificate authority, or none at all. A client certificate is a login.
  const tls = own === undefined ? withoutClientCertificate(tlsOf(endpoint)) : tlsOf(own);
  const verified = encrypted && tls.verify;
  const asConfigured = own === undefined ? verified && tls.ca === undefined : verified || own.insecure;
  const tokenHosts = own?.tokenHosts ?? [];
  return { isOwn: false, host, origin, tls, verified, tokenHosts, keychain: asConfigured ? elsewhere : ANONYMOUS };
}
