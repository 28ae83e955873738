import type { EngineName } from '../engines/names.js';
import type { ClientRoute, RouteName } from '../engines/routes.js';

/**
 * The configuration in force, after parsing, defaults and overlays: plain data, no YAML, no environment.
 * The schema in `src/config` produces it; the decision core, the renderers and the service read it.
 * Durations are milliseconds, sizes bytes.
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
  /** What happens to a Pod whose `immediate` or `force` copy failed. */
  readonly imageCopyFailure: 'ignore' | 'deny';
  /** Time for looking into targets at admission, for the whole request. */
  readonly answerBudget: number;
  readonly source: SourceConfig;
  /** Fields that swapped Pods get in addition. */
  readonly pods: PodsConfig;
  /** Takes what no entry of `targets` takes. */
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

/** Cleanup of images that nothing uses any longer. */
export interface GcConfig {
  /** The leader deletes once a day. */
  readonly enabled: boolean;
  /** Milliseconds without any use. */
  readonly after: number;
  /** The name under which this cluster records its uses; absent: it records none. */
  readonly cluster?: string;
  /** Clusters that must record their uses before anything is deleted. */
  readonly clusters: readonly string[];
}

/** Which pull secrets of Pods and their ServiceAccounts may be read. */
export interface SecretReaderConfig {
  readonly enabled: boolean;
  /** Only Secrets of these names, where there are any. */
  readonly secretNames: readonly string[];
}

/** The Lease whose holder copies and writes into the cluster. */
export interface LeaseConfig {
  readonly name: string;
  /** The service's own unless given. */
  readonly namespace?: string;
}

/** Where the serving certificate comes from. */
export interface TlsConfig {
  /** `files`: from `--tls-cert-file` and `--tls-key-file`. `selfSigned`: made and rotated by the service itself. */
  readonly mode: 'files' | 'selfSigned';
  /** `selfSigned`: the Secret that the replicas share, in the service's own namespace. */
  readonly secretName: string;
  /** `selfSigned`: the ConfigMap that the authority's certificate is published in, key `ca.crt`. */
  readonly configMapName: string;
  /** `selfSigned`: the names that the certificate is for. */
  readonly dnsNames: readonly string[];
  /** Routes that answer only callers with a certificate; what is not named here takes anybody. */
  readonly clients: { readonly [Route in ClientRoute]?: ClientCertificateConfig };
}

/** Routes that the admission port answers. */
export type ServedRoute = RouteName | 'explain';

export interface ServerConfig {
  /** Absent: all, until a route has authentication; from then on those that have it, and the engine's own. */
  readonly routes?: readonly ServedRoute[];
}

/** How callers show who they are, by route. */
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
  /** Whether tokens of Kyverno's ServiceAccounts are taken. */
  readonly token: boolean;
  /** Whether callers without such a token are refused; otherwise they are answered as unknown callers. */
  readonly tokenRequired: boolean;
  readonly audience: string;
  /** `namespace/name` */
  readonly serviceAccounts: readonly string[];
}

/** The certificate that a caller must have. */
export interface ClientCertificateConfig {
  /** A PEM file with the authorities that sign it. */
  readonly caFile: string;
  /** Names, one of which it must be for, as a DNS name or common name; any when there are none. */
  readonly names: readonly string[];
}

/** The policies that the service writes into the cluster, if it does. */
export interface PoliciesConfig {
  readonly manage: boolean;
  readonly engine: PolicyEngine;
  /** Of the policy, or the Provider. */
  readonly name: string;
  /** The base URL at which the engine reaches the service. */
  readonly url?: string;
  /** PEM file with the authorities that sign the serving certificate, for managed policies that carry them. */
  readonly caFile?: string;
  /** Refuse Pods while the service cannot be asked. */
  readonly failClosed: boolean;
  /** Left alone in addition to the system's, the engine's and the service's own. */
  readonly excludedNamespaces: readonly string[];
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
/** `exists`: swap only what the target has now. `always`: swap without looking. */
export type ImageSwapPolicy = 'exists' | 'always';
/** `delayed`: answer, then copy. `immediate`: wait for the copy. `force`: copy even what is there. `none`: never copy. */
export type ImageCopyPolicy = 'delayed' | 'immediate' | 'force' | 'none';
/** `none`: nobody's policies are rendered. */
export type PolicyEngine = EngineName | 'none';
export type Platforms = 'all' | readonly string[];

export interface SourceConfig {
  /** JMESPath over `{obj, container}`; the first that is `true` leaves the container alone. */
  readonly filters: readonly FilterConfig[];
  readonly registries: readonly RegistryConfig[];
  /** host, host:port, `*.suffix` or CIDR that Pods may make us contact although the default refuses it. */
  readonly allow: readonly string[];
  /** The same forms, refused although the default allows them. */
  readonly deny: readonly string[];
  /** `pullSecrets`: a Pod gets the mirror of a private image only if its own pull secrets can read the source. */
  readonly accessCheck: 'none' | 'pullSecrets';
  /** Pods that themselves name an image's place in a target. */
  readonly directTarget: 'keep' | 'refuse';
  /** Whether image volumes are swapped and mirrored as containers are. */
  readonly volumes: boolean;
  /** Their Pods are left alone: these operators replace Pods whose images differ from what they ordered. */
  readonly operators: readonly OperatorConfig[];
}

export interface PodsConfig {
  /** A Secret with the login of the target, in the namespace of each Pod; added to swapped Pods that lack it. */
  readonly pullSecret?: string;
  /** Whether swapped Pods get the annotation `image-swapper.io/original-images`. */
  readonly annotate: boolean;
}

/** An operator, by the objects that own its Pods. */
export interface OperatorConfig {
  readonly apiGroup: string;
  readonly kind: string;
  /** `KEY` or `KEY=VALUE`: a label of its Pods, where another object such as a StatefulSet owns them. */
  readonly label?: string;
}

export interface FilterConfig {
  readonly jmespath: string;
}

export interface MirrorConfig {
  /** Copies at once. */
  readonly concurrency: number;
  /** Of these, from one source registry; one less than `concurrency` unless given. */
  readonly perSource?: number;
  /** To one target registry; the same, or all where there is only one. */
  readonly perTarget?: number;
  readonly platforms: Platforms;
  /** Copy signatures, attestations and SBOMs with the image. */
  readonly referrers: boolean;
  readonly refresh: { readonly interval: number };
  /** How often all of a mirrored image is looked at, not its name alone. */
  readonly audit: { readonly interval: number };
}

export interface QueueConfig {
  readonly type: 'memory' | 'redis' | 'postgres';
  readonly url?: string;
  readonly secretName?: string;
}

/** A registry: `type` names its kind, and the member of that name has what the kind's schema says. */
export interface RegistryConfig {
  readonly type: string;
  readonly [kind: string]: unknown;
}

/** A registry that images are copied to, with what may differ per target. */
export type TargetConfig = RegistryConfig & TargetOptions;

export interface TargetOptions {
  /** Unique; `default` for the single `target`. */
  readonly name: string;
  /** JMESPath over `{obj, container}`; only `true` selects. Absent: selects everything. */
  readonly match?: string;
  readonly imageSwapPolicy?: ImageSwapPolicy;
  readonly imageCopyPolicy?: ImageCopyPolicy;
  readonly platforms?: Platforms;
  /** The path of each source registry, by its host, instead of the host; of others, the target takes no image. */
  readonly paths?: Readonly<Record<string, string>>;
  readonly gate?: GateConfig;
}

/** The checks that an image must pass before it becomes visible in the target. */
export interface GateConfig {
  /** Since a registry first showed the image's digest to us. */
  readonly minimumAge?: number;
  readonly verify?: GateVerifyConfig;
  readonly webhook?: GateWebhookConfig;
}

/** Signatures that an image must have at its source. */
export interface GateVerifyConfig {
  /** PEM files with public keys; any of them, or of the identities, may have signed. */
  readonly keys: readonly string[];
  readonly identities: readonly SignerIdentity[];
  /** A file with Sigstore's trusted root as JSON, for identities. */
  readonly trustedRoot?: string;
  /** Predicate types: of each an attestation is needed, instead of a signature of the image. */
  readonly attestations: readonly string[];
}

/** A signer without a key of its own, as its certificate names it. */
export interface SignerIdentity {
  readonly issuer: string;
  /** One of the two. */
  readonly subject?: string;
  /** A regular expression for the whole subject. */
  readonly subjectPattern?: string;
}

export interface GateWebhookConfig {
  /** May hold a login, which is never shown. */
  readonly url: string;
  /** A PEM file with CA certificates to trust in addition to the system's. */
  readonly caFile?: string;
  readonly timeout: number;
  /** The meaning of a failure to give a verdict. */
  readonly onError: 'hold' | 'allow';
}
