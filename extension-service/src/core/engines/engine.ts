import type { ImageCopyPolicy, ImageSwapPolicy, Platforms } from '../config/model.js';
import type { NamingTarget } from '../naming/target.js';
import type { ServedConfig } from '../policies/config-hash.js';
import type { PolicyObject } from '../policies/objects.js';
import type { PodOptions, PolicyOptions } from '../policies/options.js';
import type { ImageTable } from './mutating-admission-policy/image-table.js';
import type { TablePage } from './kyverno-table/pages.js';
import type { EngineName } from './names.js';
import type { RouteName } from './routes.js';

/**
 * Everything that the rest of the program knows about an engine. Each engine has a folder that defines one of these
 * objects, and `engines.ts` lists them; no other code compares an engine's name. docs/decisions/0009-engines.md
 * describes how to add one.
 */
export interface Engine {
  readonly name: EngineName;
  /** Its name in messages. */
  readonly title: string;
  /** A short description for users: the product and version that calls the service. */
  readonly summary: string;
  /** The engine's own namespaces, whose Pods its policies exclude, in addition to the system's and the service's. */
  readonly namespaces: readonly string[];
  /** How its policies call the service; absent for an engine that decides without a call. */
  readonly transport?: EngineTransport;
  readonly decides: EngineDecisions;
  /** The kinds of its policies, in the order in which to apply them. */
  readonly kinds: readonly ManagedKind[];
  /** Options that only this engine supports. */
  readonly ownOptions: readonly (keyof OwnOptions)[];
  readonly chart: EngineChart;
  /**
   * The policies, in the order in which to apply them.
   *
   * @throws InvalidPolicyOptionError for options that the engine does not support
   */
  render(input: EngineInput): readonly PolicyObject[];
  /** The hash of the part of the configuration that its policies depend on, in the policies' form. */
  configHash(config: HashedConfig): string;
  /**
   * Values for the engine's own Helm chart that the policies need; `{}` if they need none.
   *
   * @throws InvalidPolicyOptionError
   */
  helmValues(input: HelmValuesInput): HelmValues;
  /** Absent for an engine whose kinds are not deprecated. */
  readonly retirement?: Retirement;
  /**
   * With `policies.undecidable: webhook`: the same engine, whose policies also call the service for Pods that the engine
   * cannot decide. Absent for an engine that calls the service for every Pod.
   */
  readonly withWebhook?: Engine;
  /**
   * With `policies.table`: the same engine, whose policies decide Pods with a table of images that the service maintains,
   * and call the service for all others. Absent for an engine that cannot read a table.
   */
  readonly withTable?: Engine;
  /** How its policies contain a table of images; absent if they use none. */
  readonly table?: 'literals' | 'objects';
}

/** `MAJOR.MINOR` of an engine, as numbers. */
export type EngineVersion = readonly [major: number, minor: number];

/** Describes which newer versions of an engine reject its policies. */
export interface Retirement {
  /** A summary for all versions. */
  readonly summary: string;
  /** Whether this version rejects them, and what to do. @param version undefined if unknown */
  judge(version: EngineVersion | undefined): { readonly isRefused: boolean; readonly message: string };
}

export interface EngineTransport {
  readonly route: RouteName;
  /** How its requests can authenticate. */
  readonly credentials: readonly CallerCredential[];
  /** Who opens the connection: the engine's own Pods, or the API server. */
  readonly caller: 'engine' | 'api-server';
  /** `default`: plain HTTP unless configured otherwise. `refused`: the engine only calls https. */
  readonly plainHttp: 'default' | 'possible' | 'refused';
  /** Timeout of a policy in whole seconds: the default, and the maximum. */
  readonly timeoutSeconds: { readonly default: number; readonly max: number; readonly why?: string };
  readonly ca: EngineCa;
}

/** `secret`: a header of `auth`. `token`: of its ServiceAccount. `path`: a secret path segment. */
export type CallerCredential = 'secret' | 'token' | 'path' | 'certificate';

/** How an engine gets the CA certificate of the service's certificate. */
export interface EngineCa {
  /** `policy`: the policy contains it. `trust-store`: the engine's own trust store, which no policy can extend. */
  readonly place: 'policy' | 'trust-store';
  /** Whether the policy can read it from a ConfigMap at each request instead. */
  readonly configMap: boolean;
  /** Whether the policy requires one, because the engine trusts no public CA. */
  readonly required: boolean;
  /** Whether cert-manager can inject it into the policy (`cert-manager.io/inject-ca-from`). */
  readonly injected: boolean;
  /** The object that contains it, for messages. */
  readonly carrier: string;
  /** Why a policy accepts no `caBundle`, and what to do instead; absent if it accepts one. */
  readonly refusal?: string;
  /**
   * The effect of a Service's https address without a CA certificate, and the remedy; absent if that works or is
   * impossible.
   */
  readonly untrusted?: string;
}

/** The decisions that an engine can make, and whether its requests start copies. */
export interface EngineDecisions {
  /** Whether the service sees the whole Pod, or only image names. */
  readonly sees: 'pod' | 'images';
  /** Whether requests start copies, and therefore can wait for one (`immediate`, `force`). */
  readonly startsCopies: boolean;
  /** Requests for some Pods start copies, although the engine decides most Pods without one. */
  readonly startsSomeCopies?: true;
  /** Decides Pods without the service, so that nothing asks the service which Pods can read an image. */
  readonly alone?: true;
  /** Whether its policies also write the fields of `pods`. */
  readonly addsToPods?: true;
  /** When a denial by the service (`imageCopyFailure: deny`) refuses the Pod. */
  readonly denies: 'always' | 'fail-closed' | 'never';
  /** @throws InvalidPolicyOptionError for the first filter that neither the engine nor the service can decide */
  checkFilters?(filters: readonly string[]): void;
  /** @throws InvalidPolicyOptionError for the first `targets[].match` of that kind */
  checkMatches?(matches: readonly NamedMatch[]): void;
}

/** An expression with the key that contains it, such as `targets[1].match`. */
export interface NamedMatch {
  readonly option: string;
  /** Absent: selects everything. The configuration's rules report a text that is not an expression. */
  readonly match?: string | undefined;
}

/** A kind of object that an engine's policies use. */
export interface ManagedKind {
  readonly apiVersion: PolicyObject['apiVersion'];
  readonly kind: PolicyObject['kind'];
  readonly plural: string;
  /** Every name that its objects can have with `policies.manage`. @param policyName `policies.name` */
  names(policyName: string): readonly string[];
  /** No object exists unless the one with the first name does. */
  readonly consecutive?: true;
  /** A kind whose objects must be written first. */
  readonly requires?: PolicyObject['kind'];
  /** How a cluster gets the kind, if it is not part of the engine itself. */
  readonly install?: string;
  /** Where the object contains the CA certificate of the service; absent if it contains none itself. */
  readonly caHolder?: CaHolder;
}

export interface CaHolder {
  /** Names of the objects that contain it for this configuration, if users applied them. */
  names(policyName: string, filters: readonly string[]): readonly string[];
  /**
   * The addresses that the object calls, with the CA certificate for each.
   * @param object as stored in the API server
   */
  calls(object: unknown): readonly CaBundleUse[];
}

export interface CaBundleUse {
  /** JSON pointer of the CA certificate. */
  readonly path: string;
  /** The URL that it calls, or the name for which it verifies the certificate. */
  readonly address: string;
  /** The port, where `address` is a name. Default 443. */
  readonly port?: number | undefined;
  /** Base64 of PEM text. */
  readonly caBundle: string | undefined;
}

/** The keys that decide which Pods get which images. Each engine's hash covers those that its policies depend on. */
export interface HashedConfig extends ServedConfig {
  readonly decided: Pick<DecidedInput, 'targets' | 'publicOnly' | 'dryRun'>;
}

/** The input of a renderer. */
export interface EngineInput extends Omit<PolicyOptions, 'url'> {
  /** Prefixes of image references that Pods may be swapped to. */
  readonly targets: readonly string[];
  /** The configuration's `source.filters`; absent for policies without a configuration. */
  readonly filters?: readonly string[];
  /** `source.directTarget`; for engines that can refuse Pods. */
  readonly directTarget?: 'keep' | 'refuse';
  readonly pods?: PodOptions;
  /** Ignored by an engine without a transport. */
  readonly call: EngineCall;
  readonly own?: OwnOptions;
  /** The input for an engine without a transport; absent for policies without a configuration. */
  readonly decided?: DecidedInput;
  /**
   * The service manages the objects and deletes leftovers, so each object can have a fixed name. This is not so for
   * objects that users apply.
   */
  readonly managed?: boolean;
}

/** Everything that a policy needs to decide without the service. */
export interface DecidedInput {
  /** In the order in which they are tried. */
  readonly targets: readonly DecidedTarget[];
  /** The images in the targets, with `policies.manage`. */
  readonly tables?: ImageTables;
  /** Under `source.accessCheck`: the tables hold only images that every Pod may read. */
  readonly publicOnly: boolean;
  /** Swap nothing. */
  readonly dryRun: boolean;
}

/** The table in two parts: a write of new images sends only the smaller one. */
export interface ImageTables {
  readonly large: ImageTable;
  readonly recent: ImageTable;
  /** The table in objects, for an engine that reads these instead. */
  readonly objects?: TableObjects;
}

export interface TableObjects {
  readonly pages: readonly TablePage[];
  /** Changes when the engine must read all of them again. */
  readonly reload: string;
}

/** A target, with the settings that decide which images get which names in it. */
export interface DecidedTarget extends NamedMatch {
  readonly naming: NamingTarget;
  readonly swapPolicy: ImageSwapPolicy;
  /** `force` checks existing images too. Default `delayed`. */
  readonly copyPolicy?: ImageCopyPolicy;
  /** The platforms that it contains. Default all. */
  readonly platforms?: Platforms;
}

/** The credentials that a policy's requests send (`auth`). */
export interface EngineCredentials {
  /** The Secret whose key `secret` is sent in a header; the engine must be allowed to read it. */
  readonly secret?: { readonly name: string; readonly namespace: string };
  /** A secret segment of the path. */
  readonly path?: string;
}

/** How to reach the service, including everything that a policy sends to authenticate. */
export interface EngineCall {
  readonly credentials?: EngineCredentials;
  /** Base address of the service. */
  readonly url: string;
  /** CA certificates (PEM) that sign its certificate. */
  readonly caBundle?: string;
  /** The ConfigMap from which the engine reads them instead. */
  readonly caConfigMap?: ConfigMapKey;
}

export interface ConfigMapKey {
  readonly name: string;
  readonly namespace: string;
  /** Default `ca.crt`. */
  readonly key?: string;
}

/** Options that only one engine supports. */
export interface OwnOptions {
  readonly ephemeralContainers?: boolean;
  readonly reinvocationPolicy?: 'IfNeeded' | 'Never';
}

/** Why other engines do not support the option. */
export const OWN_OPTIONS: Readonly<Record<keyof OwnOptions, string>> = {
  ephemeralContainers: 'which always asks about new images',
  reinvocationPolicy: 'whose own webhook handles this',
};

export interface HelmValuesInput {
  /** Base address of the service. */
  readonly url: string;
  /** Timeout of the policies, if it is not the default. */
  readonly timeoutSeconds?: number;
  /** CA certificates (PEM) that sign the service's certificate. */
  readonly caBundle?: string;
  /** Public CA certificates (PEM) that the engine must keep trusting, and their origin. */
  readonly publicRoots?: { readonly pem: string; readonly knownTo: string };
}

export interface HelmValues {
  /** Lines to show to the user. */
  readonly notes: readonly string[];
  readonly values: object;
}

/** Other settings for the service's own chart; `_engines.tpl` is generated from them. */
export interface EngineChart {
  /** The API that must exist (`GROUP/VERSION/KIND`), and how to install it; absent if every cluster has it. */
  readonly api?: { readonly name: string; readonly install: string };
  /** A template of the chart that fails if the engine's version is too old. */
  readonly requires?: string;
  /** Why the chart itself cannot render policies of this engine, so that `policies.manage` must be on. */
  readonly managedOnly?: string;
  /** Whether the chart's `webhook.*` values have an effect. */
  readonly webhookValues: boolean;
}
