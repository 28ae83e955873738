import type { EngineName } from '../engines/names.js';
import type { ClientRoute, RouteName } from '../engines/routes.js';

/**
 * The effective configuration, after parsing, defaults and overlays: plain data, no YAML, no environment. The schema in
 * `src/config` produces it; the decision core, the renderers and the service read it. Durations are milliseconds, sizes
 * bytes.
 */
export interface Config {
  /** Only decide, log and count; change and copy nothing. */
  readonly dryRun: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: 'json' | 'console';
  readonly imageSwapPolicy: ImageSwapPolicy;
  readonly imageCopyPolicy: ImageCopyPolicy;
  /** How long `immediate` and `force` wait for the copy, for the whole request. */
  readonly imageCopyDeadline: number;
  /** The treatment of a Pod whose `immediate` or `force` copy failed. */
  readonly imageCopyFailure: 'ignore' | 'deny';
  /** Time budget for target lookups at admission, for the whole request. */
  readonly answerBudget: number;
  readonly source: SourceConfig;
  /** Fields that are added to swapped Pods. */
  readonly pods: PodsConfig;
  /** Takes the images that no entry of `targets` takes. */
  readonly target?: TargetConfig;
  /** Ordered: the first whose `match` is true takes the image. */
  readonly targets: readonly TargetConfig[];
  readonly mirror: MirrorConfig;
  readonly queue: QueueConfig;
  readonly gc: GcConfig;
  readonly reconcile: { readonly enabled: boolean; readonly interval: number };
  readonly secretReader: SecretReaderConfig;
  readonly lease: LeaseConfig;
  readonly events: { readonly enabled: boolean };
  readonly tls: TlsConfig;
  readonly server: ServerConfig;
  readonly auth: AuthConfig;
  readonly policies: PoliciesConfig;
}

/** Cleanup of unused images. */
export interface GcConfig {
  /** The leader deletes once a day. */
  readonly enabled: boolean;
  /** Milliseconds without any use. */
  readonly after: number;
  /** The name under which this cluster records its uses; absent: it records none. */
  readonly cluster?: string;
  /** Clusters that must have recorded their uses before anything is deleted. */
  readonly clusters: readonly string[];
  /** False: the registry itself deletes the platforms of a deleted index. `auto`: gc finds out whether it does. */
  readonly deletePlatforms: 'auto' | boolean;
}

/** Which pull secrets of Pods and their ServiceAccounts may be read. */
export interface SecretReaderConfig {
  readonly enabled: boolean;
  /** If set, only Secrets with these names. */
  readonly secretNames: readonly string[];
}

/** The Lease whose holder copies images and writes to the cluster. */
export interface LeaseConfig {
  readonly name: string;
  /** The service's own unless given. */
  readonly namespace?: string;
}

/** The source of the serving certificate. */
export interface TlsConfig {
  /** `files`: from `--tls-cert-file` and `--tls-key-file`. `selfSigned`: created and rotated by the service itself. */
  readonly mode: 'files' | 'selfSigned';
  /** `selfSigned`: the Secret that the replicas share, in the service's own namespace. */
  readonly secretName: string;
  /** `selfSigned`: the ConfigMap that publishes the CA certificate, key `ca.crt`. */
  readonly configMapName: string;
  /** `selfSigned`: the host names for which the certificate is valid. */
  readonly dnsNames: readonly string[];
  /** Routes that answer only callers with a certificate; routes that are not listed answer everyone. */
  readonly clients: { readonly [Route in ClientRoute]?: ClientCertificateConfig };
}

/** Routes that the admission port serves. */
export type ServedRoute = RouteName | 'explain';

export interface ServerConfig {
  /** Absent: all, until a route has authentication; from then on, routes with authentication and the engine's own. */
  readonly routes?: readonly ServedRoute[];
}

/** How callers authenticate, by route. */
export interface AuthConfig {
  readonly kyverno: KyvernoAuthConfig;
  readonly webhook: { readonly path?: string };
  readonly explain: { readonly secret?: string };
}

export interface KyvernoAuthConfig {
  readonly secret?: string;
  /** The Secret from which the policy reads the same text. */
  readonly secretName?: string;
  readonly secretNamespace: string;
  /** Whether tokens of Kyverno's ServiceAccounts are accepted. */
  readonly token: boolean;
  /** Whether callers without such a token are rejected; otherwise they are answered as unauthenticated callers. */
  readonly tokenRequired: boolean;
  readonly audience: string;
  /** `namespace/name` */
  readonly serviceAccounts: readonly string[];
}

/** The certificate that a caller must present. */
export interface ClientCertificateConfig {
  /** A PEM file with the CA certificates that sign it. */
  readonly caFile: string;
  /** The certificate must be valid for one of these DNS names or common names; any name if empty. */
  readonly names: readonly string[];
}

/** The policies that the service writes to the cluster, if it manages them. */
export interface PoliciesConfig {
  readonly manage: boolean;
  readonly engine: PolicyEngine;
  /** What happens to a filter or `match` that the API server cannot decide without the service. */
  readonly undecidable: 'refuse' | 'webhook';
  /** Kyverno decides Pods with a table of images that the leader maintains, and calls the service for all others. */
  readonly table: boolean;
  /** Name of the policy, or of the Provider. */
  readonly name: string;
  /** The base URL at which the engine reaches the service. */
  readonly url?: string;
  /** PEM file with the CA certificates that sign the serving certificate, for managed policies that embed them. */
  readonly caFile?: string;
  /** Refuse Pods while the service cannot be reached. */
  readonly failClosed: boolean;
  /** Excluded in addition to the system's, the engine's and the service's own. */
  readonly excludedNamespaces: readonly string[];
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
/** `exists`: swap only images that the target has. `always`: swap without a lookup. */
export type ImageSwapPolicy = 'exists' | 'always';
/**
 * `delayed`: answer, then copy. `immediate`: wait for the copy. `force`: copy even existing images. `none`: never copy.
 */
export type ImageCopyPolicy = 'delayed' | 'immediate' | 'force' | 'none';
/** `none`: no policies are rendered. */
export type PolicyEngine = EngineName | 'none';
export type Platforms = 'all' | readonly string[];

export interface SourceConfig {
  /** JMESPath over `{obj, container}`; a container is not swapped if any filter is `true`. */
  readonly filters: readonly FilterConfig[];
  readonly registries: readonly RegistryConfig[];
  /**
   * host, host:port, `*.suffix` or CIDR that image-swapper may contact on behalf of Pods although the default forbids
   * it.
   */
  readonly allow: readonly string[];
  /** The same forms, forbidden although the default allows them. */
  readonly deny: readonly string[];
  /** `pullSecrets`: a Pod gets the mirror of a private image only if its own pull secrets can read the source. */
  readonly accessCheck: 'none' | 'pullSecrets';
  /** Treatment of Pods that name a mirrored image in a target themselves. */
  readonly directTarget: 'keep' | 'refuse';
  /** Whether image volumes are swapped and mirrored like containers. */
  readonly volumes: boolean;
  /** Pods of these operators are not changed: the operators replace Pods whose images differ from what they ordered. */
  readonly operators: readonly OperatorConfig[];
}

export interface PodsConfig {
  /** A Secret with the login to the target, in the namespace of each Pod; added to swapped Pods that lack it. */
  readonly pullSecret?: string;
  /** Whether swapped Pods get the annotation `image-swapper.io/original-images`. */
  readonly annotate: boolean;
}

/** An operator, identified by the objects that own its Pods. */
export interface OperatorConfig {
  readonly apiGroup: string;
  readonly kind: string;
  /** `KEY` or `KEY=VALUE`: a label of its Pods, for Pods that another object such as a StatefulSet owns. */
  readonly label?: string;
}

export interface FilterConfig {
  readonly jmespath: string;
}

export interface MirrorConfig {
  /** Maximum parallel copies. */
  readonly concurrency: number;
  /** Of these, maximum from one source registry; by default `concurrency` minus one. */
  readonly perSource?: number;
  /** Maximum to one target registry; by default the same, or all if there is only one. */
  readonly perTarget?: number;
  readonly platforms: Platforms;
  /** Copy signatures, attestations and SBOMs with the image. */
  readonly referrers: boolean;
  readonly refresh: { readonly interval: number };
  /** How often every part of a mirrored image is checked, and not only its name. */
  readonly audit: { readonly interval: number };
}

/** Where copies wait. With a queue server, every replica copies; all keys except `type` configure the server. */
export interface QueueConfig {
  readonly type: 'memory' | 'redis' | 'postgres';
  readonly url?: string;
  /** A Secret with the key `url`. */
  readonly secretName?: string;
  /** A file whose content overrides the password in the URL. */
  readonly passwordFile?: string;
  /** A PEM file with the CA certificates that the server's certificate is verified with. */
  readonly caFile?: string;
  /** Prefix of the keys on the server; in PostgreSQL, the name of the schema. */
  readonly prefix: string;
  /** `host:port` of each Sentinel; the host of the URL is the name of the primary then. */
  readonly sentinels: readonly string[];
  readonly sentinelPasswordFile?: string;
}

/** A registry: `type` names its kind, and the member of that name has the settings of that kind. */
export interface RegistryConfig {
  readonly type: string;
  readonly [kind: string]: unknown;
}

/** A registry that images are copied to, with the settings that may differ per target. */
export type TargetConfig = RegistryConfig & TargetOptions;

export interface TargetOptions {
  /** Unique; `default` for the single `target`. */
  readonly name: string;
  /** JMESPath over `{obj, container}`; selects only if `true`. Absent: selects everything. */
  readonly match?: string;
  readonly imageSwapPolicy?: ImageSwapPolicy;
  readonly imageCopyPolicy?: ImageCopyPolicy;
  readonly platforms?: Platforms;
  /**
   * The path for each source registry, by its host, in place of the host; the target takes no images of other
   * registries.
   */
  readonly paths?: Readonly<Record<string, string>>;
  readonly gate?: GateConfig;
}

/** The checks that an image must pass before it becomes visible in the target. */
export interface GateConfig {
  /** Time since a registry first showed the image's digest to this service. */
  readonly minimumAge?: number;
  readonly verify?: GateVerifyConfig;
  readonly webhook?: GateWebhookConfig;
}

/** Signatures that an image must have at its source. */
export interface GateVerifyConfig {
  /** PEM files with public keys; one signature, by any of these or of the identities, is enough. */
  readonly keys: readonly string[];
  readonly identities: readonly SignerIdentity[];
  /** A file with Sigstore's trusted root as JSON, for identities. */
  readonly trustedRoot?: string;
  /** Predicate types: the image needs an attestation of each, instead of a signature. */
  readonly attestations: readonly string[];
}

/** A keyless signer, as named by its certificate. */
export interface SignerIdentity {
  readonly issuer: string;
  /** Exactly one of the two. */
  readonly subject?: string;
  /** A regular expression for the whole subject. */
  readonly subjectPattern?: string;
}

export interface GateWebhookConfig {
  /** May contain a login, which is never shown. */
  readonly url: string;
  /** A PEM file with CA certificates to trust in addition to the system's. */
  readonly caFile?: string;
  readonly timeout: number;
  /** The result if the webhook gives no verdict. */
  readonly onError: 'hold' | 'allow';
}
