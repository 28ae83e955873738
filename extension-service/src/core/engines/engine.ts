import type { ImageSwapPolicy } from '../config/model.js';
import type { NamingTarget } from '../naming/target.js';
import type { PolicyObject } from '../policies/objects.js';
import type { PodOptions, PolicyOptions } from '../policies/options.js';
import type { ImageTable } from './mutating-admission-policy/image-table.js';
import type { EngineName } from './names.js';
import type { RouteName } from './routes.js';

/**
 * Everything that the rest of the program knows about an engine. One folder per engine defines one of these objects and
 * `engines.ts` lists them; nothing else compares an engine's name. docs/decisions/0009-engines.md says how to add one.
 */
export interface Engine {
  readonly name: EngineName;
  /** Its name in sentences. */
  readonly title: string;
  /** One clause for people: which version of what asks the service. */
  readonly summary: string;
  /** The engine's own namespaces, whose Pods its policies leave alone, in addition to the system's and the service's. */
  readonly namespaces: readonly string[];
  /** How its policies call the service; absent for an engine that decides without a call. */
  readonly transport?: EngineTransport;
  readonly decides: EngineDecisions;
  /** The kinds of its policies, in the order in which to apply them. */
  readonly kinds: readonly ManagedKind[];
  /** Options that only this engine takes. */
  readonly ownOptions: readonly (keyof OwnOptions)[];
  readonly chart: EngineChart;
  /**
   * The policies, in the order in which to apply them.
   *
   * @throws InvalidPolicyOptionError for what the engine cannot do
   */
  render(input: EngineInput): readonly PolicyObject[];
  /** The hash of the part of the configuration that its policies depend on, as they carry it. */
  configHash(
    filters: readonly string[],
    targets: readonly string[],
    directTarget?: 'keep' | 'refuse',
    pods?: PodOptions,
    publicOnly?: boolean,
  ): string;
  /**
   * Values for the engine's own Helm chart, without which the policies do not work as they should; `{}` where it needs
   * none.
   *
   * @throws InvalidPolicyOptionError
   */
  helmValues(input: HelmValuesInput): HelmValues;
  /** Absent for an engine whose kinds stay. */
  readonly retirement?: Retirement;
}

/** `MAJOR.MINOR` of an engine, as numbers. */
export type EngineVersion = readonly [major: number, minor: number];

/** That newer versions of an engine refuse its policies. */
export interface Retirement {
  /** The fate of its policies in every version. */
  readonly summary: string;
  /** Whether this version refuses them, and what to do. @param version undefined where it cannot be read */
  judge(version: EngineVersion | undefined): { readonly isRefused: boolean; readonly message: string };
}

export interface EngineTransport {
  readonly route: RouteName;
  /** How its requests can show who sends them. */
  readonly proves: readonly CallerProof[];
  /** Who opens the connection: the engine's own Pods, or the API server. */
  readonly caller: 'engine' | 'api-server';
  /** `default`: plain HTTP unless configured otherwise. `refused`: it calls https only. */
  readonly plainHttp: 'default' | 'possible' | 'refused';
  /** Whole seconds that a policy waits for an answer: unless given, and at most. */
  readonly timeoutSeconds: { readonly usual: number; readonly max: number; readonly why?: string };
  readonly ca: EngineCa;
}

/** `secret`: a header of `auth`. `token`: of its ServiceAccount. `path`: a secret segment. */
export type CallerProof = 'secret' | 'token' | 'path' | 'certificate';

/** How an engine knows the authority that signs the service's certificate. */
export interface EngineCa {
  /** `policy`: the policy carries it. `trust-store`: the engine's own, which no policy can extend. */
  readonly place: 'policy' | 'trust-store';
  /** Whether the policy can read it from a ConfigMap at each request instead. */
  readonly configMap: boolean;
  /** Whether the policy needs one: it trusts no public authority. */
  readonly required: boolean;
  /** Whether cert-manager can put it into the policy (`cert-manager.io/inject-ca-from`). */
  readonly injected: boolean;
  /** The thing that carries it, for people. */
  readonly carrier: string;
  /** Why a policy takes no `caBundle`, and what to do instead; absent where it takes one. */
  readonly refusal?: string;
  /** The effect of an https address of a Service without one, and the remedy; absent where it works or is impossible. */
  readonly untrusted?: string;
}

/** The decisions that an engine can make, and the work that its requests can start. */
export interface EngineDecisions {
  /** The service sees the whole Pod, or names of images alone. */
  readonly sees: 'pod' | 'images';
  /** Whether requests start copies, and so whether they can wait for one (`immediate`, `force`). */
  readonly startsCopies: boolean;
  /** Whether its policies write the fields of `pods` too. */
  readonly addsToPods?: true;
  /** When a refusal by the service (`imageCopyFailure: deny`) refuses the Pod. */
  readonly denies: 'always' | 'fail-closed' | 'never';
  /** @throws InvalidPolicyOptionError for the first filter that neither the engine nor the service can decide */
  checkFilters?(filters: readonly string[]): void;
  /** @throws InvalidPolicyOptionError for the first `targets[].match` of that kind */
  checkMatches?(matches: readonly NamedMatch[]): void;
}

/** An expression with the name under which people wrote it, such as `targets[1].match`. */
export interface NamedMatch {
  readonly option: string;
  /** Absent: selects everything. The configuration's rules report a text that is not an expression. */
  readonly match?: string | undefined;
}

/** A kind of object that policies consist of. */
export interface ManagedKind {
  readonly apiVersion: PolicyObject['apiVersion'];
  readonly kind: PolicyObject['kind'];
  readonly plural: string;
  /** Every name that its objects can have under `policies.manage`. @param policyName `policies.name` */
  names(policyName: string): readonly string[];
  /** Where the object holds the CA of the serving certificate; absent where it holds none of its own. */
  readonly caHolder?: CaHolder;
}

export interface CaHolder {
  /** Names of the objects that hold it for this configuration, if people applied them. */
  names(policyName: string, filters: readonly string[]): readonly string[];
  /** The addresses that the object calls, and the authority it has for each. @param object as the API server has it */
  calls(object: unknown): readonly CaBundleUse[];
}

export interface CaBundleUse {
  /** JSON pointer of the authority. */
  readonly path: string;
  /** A URL that it calls, or the name by which it verifies the certificate. */
  readonly address: string;
  /** Base64 of PEM text. */
  readonly caBundle: string | undefined;
}

/** The input of a renderer. */
export interface EngineInput extends Omit<PolicyOptions, 'url'> {
  /** Prefixes of image references that Pods may be pointed at. */
  readonly targets: readonly string[];
  /** The configuration's `source.filters`; absent for policies that name no configuration. */
  readonly filters?: readonly string[];
  /** `source.directTarget`; for engines that can refuse Pods. */
  readonly directTarget?: 'keep' | 'refuse';
  readonly pods?: PodOptions;
  /** An engine without a transport ignores it. */
  readonly call: EngineCall;
  readonly own?: OwnOptions;
  /** The way in which an engine without a transport decides; absent for policies that name no configuration. */
  readonly decided?: DecidedInput;
  /**
   * The service keeps the objects and deletes those that are left over, so that each can have a fixed name. Objects that
   * people apply have none of that.
   */
  readonly managed?: boolean;
}

/** Everything that a policy needs to decide by itself. */
export interface DecidedInput {
  /** In the order in which they are asked. */
  readonly targets: readonly DecidedTarget[];
  /** What the targets have, under `policies.manage`. */
  readonly tables?: ImageTables;
  /** Under `source.accessCheck`: the tables hold only images that every Pod may read. */
  readonly publicOnly: boolean;
  /** Nothing is swapped. */
  readonly dryRun: boolean;
}

/** The table, divided: each write of new images sends the smaller part only. */
export interface ImageTables {
  readonly large: ImageTable;
  readonly recent: ImageTable;
}

/** A target with what decides which images get names in it, and which. */
export interface DecidedTarget extends NamedMatch {
  readonly naming: NamingTarget;
  readonly swapPolicy: ImageSwapPolicy;
}

/** The proof of identity that a policy's requests send (`auth`). */
export interface EngineProof {
  /** The Secret whose key `secret` goes into a header; the engine must be allowed to read it. */
  readonly secret?: { readonly name: string; readonly namespace: string };
  /** A secret segment of the path. */
  readonly path?: string;
}

/** How to reach the service. Anything that a policy sends to prove its caller also belongs here. */
export interface EngineCall {
  readonly proof?: EngineProof;
  /** Base address of the service. */
  readonly url: string;
  /** PEM text of the authorities that sign its certificate. */
  readonly caBundle?: string;
  /** Where the engine reads that text instead. */
  readonly caConfigMap?: ConfigMapKey;
}

export interface ConfigMapKey {
  readonly name: string;
  readonly namespace: string;
  /** Default `ca.crt`. */
  readonly key?: string;
}

/** Options that a single engine takes. */
export interface OwnOptions {
  readonly ephemeralContainers?: boolean;
  readonly reinvocationPolicy?: 'IfNeeded' | 'Never';
}

/** Why any other engine does not take the option. */
export const OWN_OPTIONS: Readonly<Record<keyof OwnOptions, string>> = {
  ephemeralContainers: 'which always asks about new images',
  reinvocationPolicy: 'whose own webhook handles this',
};

export interface HelmValuesInput {
  /** Base address of the service. */
  readonly url: string;
  /** Of the policies, where it is not the usual one. */
  readonly timeoutSeconds?: number;
  /** PEM text of the authorities that sign the service's certificate. */
  readonly caBundle?: string;
  /** PEM text of the public authorities that the engine must go on trusting, and who knows them. */
  readonly publicRoots?: { readonly pem: string; readonly knownTo: string };
}

export interface HelmValues {
  /** Lines for people. */
  readonly notes: readonly string[];
  readonly values: object;
}

/** Further settings that the service's own chart needs; `_engines.tpl` is generated from it. */
export interface EngineChart {
  /** The API that must be there (`GROUP/VERSION/KIND`), and how to install it; absent where every cluster has it. */
  readonly api?: { readonly name: string; readonly install: string };
  /** A template of the chart that stops for a version of the engine that is too old. */
  readonly requires?: string;
  /** Why the chart itself can render no policies of this engine, and `policies.manage` must be on. */
  readonly managedOnly?: string;
  /** The chart's `webhook.*` values have an effect. */
  readonly webhookValues: boolean;
}
