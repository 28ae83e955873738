import type { Platform } from '../core/image/platform.js';

/** OCI image-spec, descriptor.md: what points to content. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly platform?: Platform;
  readonly urls?: readonly string[];
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** How to reach a registry. */
export interface RegistryEndpoint {
  /** host[:port] as references name it; `docker.io` for Docker Hub. */
  readonly host: string;
  /** HTTPS without checking the certificate, or plain HTTP where HTTPS is not spoken. */
  readonly insecure: boolean;
  /** PEM, trusted in addition to the system's CA certificates. */
  readonly ca?: string;
  /** For registries that require a client certificate. */
  readonly clientCertificate?: ClientCertificate;
  /** Hosts at other sites (host or host:port) whose token servers get the login. */
  readonly tokenHosts?: readonly string[];
  /** Bytes of a request's body at most, for proxies that limit them. @default a blob goes in one request */
  readonly uploadChunk?: number;
}

/** A certificate with its chain, and its private key: PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** How a TLS connection is made. */
export interface TlsSettings {
  /** Whether the server's certificate is checked. */
  readonly verify: boolean;
  /** PEM, trusted in addition to the system's CA certificates. */
  readonly ca?: string;
  readonly clientCertificate?: ClientCertificate;
}

export type Credentials = PasswordCredentials | IdentityTokenCredentials | RegistryTokenCredentials;

/** The parts of a login that expires: its owner can get them again. */
export type LoginCredentials = PasswordCredentials | IdentityTokenCredentials;

export interface PasswordCredentials {
  readonly username: string;
  readonly password: string;
}
/** An OAuth2 refresh token, exchanged at the token endpoint (`identitytoken` of a Docker config). */
export interface IdentityTokenCredentials {
  readonly identityToken: string;
}
/** A bearer token, sent as it is (`registrytoken` of a Docker config). */
export interface RegistryTokenCredentials {
  readonly registryToken: string;
}

export interface Keychain {
  /** The credentials to try for a repository, best first; anonymous access comes last and is not listed. */
  resolve(host: string, repository: string): Promise<readonly Credentials[]>;
  /** Why credentials that are configured for a repository are not among what `resolve` finds, in one line for its error. */
  notUsed?(host: string, repository: string): Promise<string | undefined>;
  /** A registry refused these. @returns whether `resolve` may now find others in their place */
  rejected?(credentials: Credentials): boolean;
}

/** Options of every client request: the caller's abort signal, and a hook that counts requests. */
export interface RequestContext {
  readonly signal?: AbortSignal;
  readonly onRequest?: () => void;
  /** A request was sent with credentials: what it brings may be private. */
  readonly onCredentials?: () => void;
}
