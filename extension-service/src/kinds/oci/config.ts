import type { CredentialsConfig } from '../../credentials/config-credentials.js';

export interface OciConfig {
  /** host or host:port */
  readonly registry: string;
  /** Path below the host, without leading or trailing slashes; '' for none. */
  readonly prefix: string;
  /** Plain HTTP, or HTTPS with a certificate that is not verified. */
  readonly insecure: boolean;
  /** PEM file with the CA certificates to trust in addition to the system's. */
  readonly caFile?: string;
  /** Hosts at other sites (host or host:port) whose token servers receive this registry's login. */
  readonly tokenHosts?: readonly string[];
  readonly clientCertificate?: ClientCertificateConfig;
  readonly credentials?: CredentialsConfig;
  /** Maximum bytes of a request body, for proxies that limit them. */
  readonly uploadChunk?: number;
}

/** PEM files of a certificate, with its chain, and of its key. */
export interface ClientCertificateConfig {
  readonly certFile: string;
  readonly keyFile: string;
}
