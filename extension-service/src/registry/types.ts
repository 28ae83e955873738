import type { Platform } from '../core/image/platform.js';

/** OCI image-spec, descriptor.md: a reference to content. */
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
  /** host[:port] in the form of references; `docker.io` for Docker Hub. */
  readonly host: string;
  /** HTTPS without verifying the certificate, or plain HTTP if the server does not use HTTPS. */
  readonly insecure: boolean;
  /** PEM, trusted in addition to the system's CA certificates. */
  readonly ca?: string;
  /** For registries that require a client certificate. */
  readonly clientCertificate?: ClientCertificate;
  /** Hosts at other sites (host or host:port) whose token servers receive the login. */
  readonly tokenHosts?: readonly string[];
  /** Maximum bytes of a request body, for proxies that limit them. @default a blob is sent in one request */
  readonly uploadChunk?: number;
}

/** A certificate with its chain, and its private key: PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** How a TLS connection is made. */
export interface TlsSettings {
  /** Whether the server's certificate is verified. */
  readonly verify: boolean;
  /** PEM, trusted in addition to the system's CA certificates. */
  readonly ca?: string;
  readonly clientCertificate?: ClientCertificate;
}

export type Credentials = PasswordCredentials | IdentityTokenCredentials | RegistryTokenCredentials;

/** A login that expires: its owner can renew it. */
export type LoginCredentials = PasswordCredentials | IdentityTokenCredentials;

export interface PasswordCredentials {
  readonly username: string;
  readonly password: string;
}
/** An OAuth2 refresh token, exchanged at the token endpoint (`identitytoken` of a Docker config). */
export interface IdentityTokenCredentials {
  readonly identityToken: string;
}
/** A bearer token, sent unchanged (`registrytoken` of a Docker config). */
export interface RegistryTokenCredentials {
  readonly registryToken: string;
}

export interface Keychain {
  /** The credentials to try for a repository, best first; anonymous access comes last and is not listed. */
  resolve(host: string, repository: string): Promise<readonly Credentials[]>;
  /**
   * Why credentials that are configured for a repository are not in the result of `resolve`, in one line for its error.
   */
  unusedReason?(host: string, repository: string): Promise<string | undefined>;
  /** A registry rejected these. @returns whether `resolve` may now return others instead */
  rejected?(credentials: Credentials): boolean;
}

/** Options of every client request: the caller's abort signal, and a hook that counts requests. */
export interface RequestContext {
  readonly signal?: AbortSignal;
  readonly onRequest?: () => void;
  /** Whether the caller pushes to the repository as well, so that one token is enough for all of its requests. */
  readonly willPush?: boolean;
  /**
   * Whether the registry itself refers to the content of a read. A cache may still be fetching it from its own source, so a
   * 404 is not believed at once (goharbor/harbor#19067).
   */
  readonly isListed?: boolean;
  /**
   * Whether the caller needs the manifest: a 404 to HEAD is then verified by GET also where HEAD has worked before.
   * Pull-through caches fetch an image only on GET (goharbor/harbor#13153).
   */
  readonly isNeeded?: boolean;
  /** A request was sent with credentials: its result may be private. */
  readonly onCredentials?: () => void;
}
