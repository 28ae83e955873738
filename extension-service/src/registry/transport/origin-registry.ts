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
  /** HTTPS with a verified certificate. */
  readonly verified: boolean;
  /** Hosts at other sites whose token servers receive its login. */
  readonly tokenHosts: readonly string[];
  /** Only its own credentials. */
  readonly keychain: Keychain;
}

export interface OriginOptions {
  /** For the requested registry. */
  readonly endpoint: RegistryEndpoint;
  readonly keychain: Keychain;
  /** For other registries. */
  readonly elsewhere: Keychain;
  readonly endpointOf: (host: string) => RegistryEndpoint | undefined;
}

const ANONYMOUS: Keychain = { resolve: async () => [] };

/**
 * The registry at the origin of `url` when the requested registry is at `base`. Another registry gets its own
 * credentials, and only where a direct request would send them: a redirect does not extend the first registry's
 * `insecure` or CA certificate to another registry's credentials.
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
  // A registry's private store often uses the same CA, or no TLS at all. A client certificate is a login.
  const tls = own === undefined ? withoutClientCertificate(tlsOf(endpoint)) : tlsOf(own);
  const verified = encrypted && tls.verify;
  const asConfigured = own === undefined ? verified && tls.ca === undefined : verified || own.insecure;
  const tokenHosts = own?.tokenHosts ?? [];
  return { isOwn: false, host, origin, tls, verified, tokenHosts, keychain: asConfigured ? elsewhere : ANONYMOUS };
}
