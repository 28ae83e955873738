import type { FailurePolicy, NamespaceSelector, ObjectMetadata } from './objects.js';
import { refuseUnquotable } from './literals.js';
import { placesWith } from '../decide/image-places.js';
import type { ImagePlace } from '../decide/image-places.js';
import type { Config, OperatorConfig } from '../config/model.js';
import { compileFilter } from '../filters/compile.js';
import type { FilterProblem } from '../filters/compile.js';
import { InvalidPolicyOptionError } from './problem.js';
import { checkList, checkText, checkBoolean } from './shapes.js';
import { parseServiceUrl, type ServiceUrl } from './url.js';

/** Options of every engine's renderer. */
export interface PolicyOptions {
  /** Name of the objects. Default `image-swapper`. */
  readonly name?: string;
  /** Base address of the extension service, such as `https://image-swapper.image-swapper.svc:8443`; the route is added. */
  readonly url: string;
  /** Refuse Pods when the service gives no usable answer. Default false: they are admitted unchanged. */
  readonly failClosed?: boolean;
  /** Timeout of the API server or the engine for the service: whole seconds from 1 to 30. */
  readonly timeoutSeconds?: number;
  /** Excluded in addition to the system's, the engine's and the service's own namespaces. */
  readonly excludedNamespaces?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Options of the engines that can check an answer before they apply it. */
export interface GuardOptions {
  /**
   * Prefixes of image references, each ending in `/`: the registries that Pods may be swapped to. The policy accepts
   * only images that begin with one of them, regardless of the service's answer.
   */
  readonly targets: readonly string[];
  /**
   * The configuration's `source.filters`, in order. Filters that the engine itself can evaluate cost no call; the
   * service still evaluates all of them. Default none.
   */
  readonly filters?: readonly string[];
  /** The configuration's `source.directTarget`. With `refuse` every Pod is sent, including opt-outs. Default `keep`. */
  readonly directTarget?: 'keep' | 'refuse';
  /** Other parts of the configuration that the policy depends on. */
  readonly pods?: PodOptions;
}

/** Parts of the configuration that policies depend on, except targets and filters. */
export interface PodOptions {
  /** `source.volumes`: also swap image volumes. Default true. */
  readonly volumes?: boolean;
  /** `source.operators`: Pods of these operators cost no call. The service decides the same. Default none. */
  readonly operators?: readonly OperatorConfig[];
  /** `pods.pullSecret`: the only pull secret that the guard accepts. */
  readonly pullSecret?: string;
  /** `pods.annotate`: the guard accepts the annotation with the original images. Default false. */
  readonly annotate?: boolean;
}

/** The options for a configuration. */
export function podOptions({ source, pods }: Pick<Config, 'source' | 'pods'>): PodOptions {
  return { volumes: source.volumes, operators: source.operators, ...pods };
}

/** {@link PodOptions}, validated, with defaults. */
export interface ResolvedPodOptions {
  readonly places: readonly ImagePlace[];
  readonly operators: readonly OperatorConfig[];
  readonly pullSecret?: string;
  readonly annotate: boolean;
}

/** @throws InvalidPolicyOptionError */
export function resolvePodOptions(options: PodOptions = {}): ResolvedPodOptions {
  const { volumes = true, operators = [], pullSecret, annotate = false } = options;
  checkBoolean(volumes, 'pods.volumes');
  checkList(operators, 'pods.operators');
  checkBoolean(annotate, 'pods.annotate');
  if (pullSecret !== undefined) checkSubdomain(pullSecret, 'pods.pullSecret');
  return { places: placesWith(volumes), operators, annotate, ...(pullSecret !== undefined && { pullSecret }) };
}

export interface ResolvedPolicyOptions extends ResolvedNames {
  readonly url: ServiceUrl;
  readonly timeoutSeconds: number;
}

/** The options that do not depend on how the engine calls the service. */
export interface ResolvedNames {
  readonly name: string;
  readonly failurePolicy: FailurePolicy;
  readonly excludedNamespaces: readonly string[];
}

export const DEFAULT_NAME = 'image-swapper';
/** In every policy, for selectors. */
export const NAME_LABEL = 'app.kubernetes.io/name';
/** Pods in these namespaces run the cluster itself; if a wrong answer broke them, the cluster could not recover. */
export const SYSTEM_NAMESPACES = ['kube-system', 'kube-public', 'kube-node-lease'] as const;
/** If the service's own Pods waited for the service, it could never start. */
const SERVICE_NAMESPACE = 'image-swapper';

/** Defaults for the options of a renderer. */
export interface PolicyDefaults {
  readonly timeoutSeconds: number;
  /** The engine's own namespaces. */
  readonly namespaces: readonly string[];
  /** Maximum characters of the policy's name; default 253. */
  readonly maxNameLength?: number;
}

/** The namespaces that policies of an engine with these own namespaces always exclude. */
export function systemNamespacesAnd(namespaces: readonly string[]): readonly string[] {
  return [...SYSTEM_NAMESPACES, ...namespaces, SERVICE_NAMESPACE];
}

/** Fills in defaults and rejects invalid options. */
export function resolvePolicyOptions(options: PolicyOptions, defaults: PolicyDefaults): ResolvedPolicyOptions {
  const url = parseServiceUrl(options.url, 'url');
  const timeoutSeconds = options.timeoutSeconds ?? defaults.timeoutSeconds;
  if (!Number.isInteger(timeoutSeconds) || timeoutSeconds < 1 || timeoutSeconds > 30) {
    throw new InvalidPolicyOptionError('timeoutSeconds', `${timeoutSeconds} must be a whole number from 1 to 30`);
  }
  return { ...resolveNames(options, defaults, url.service ? [url.service.namespace] : []), url, timeoutSeconds };
}

/** @param namespaces excluded in addition to the engine's */
export function resolveNames(
  options: Pick<PolicyOptions, 'name' | 'failClosed' | 'excludedNamespaces'>,
  defaults: Pick<PolicyDefaults, 'namespaces' | 'maxNameLength'>,
  namespaces: readonly string[] = [],
): ResolvedNames {
  const name: unknown = options.name ?? DEFAULT_NAME;
  checkText(name, 'name');
  checkSubdomain(name, 'name', defaults.maxNameLength);
  const { failClosed = false, excludedNamespaces: own = [] } = options;
  checkBoolean(failClosed, 'failClosed');
  checkList(own, 'excludedNamespaces');
  own.forEach((namespace, index) => checkLabel(namespace, `excludedNamespaces[${index}]`));
  const excludedNamespaces = [...new Set([...systemNamespacesAnd(defaults.namespaces), ...namespaces, ...own])];
  return { name, excludedNamespaces, failurePolicy: failClosed ? 'Fail' : 'Ignore' };
}

/** Metadata with the caller's labels and annotations; `annotations` that the engine needs override the caller's. */
export function policyMetadata(
  name: string,
  options: Pick<PolicyOptions, 'labels' | 'annotations'>,
  annotations: Readonly<Record<string, string>> = {},
): ObjectMetadata {
  checkLabels(options.labels ?? {}, 'labels');
  const named = options.labels?.[NAME_LABEL];
  if (named !== undefined && named !== DEFAULT_NAME) {
    throw new InvalidPolicyOptionError(
      `labels[${JSON.stringify(NAME_LABEL)}]`,
      `must stay ${JSON.stringify(DEFAULT_NAME)}, because check --online and kubectl apply --prune find the policies by it`,
    );
  }
  for (const [key, value] of Object.entries(options.annotations ?? {})) {
    const at = `annotations[${JSON.stringify(key)}]`;
    checkKey(key, at);
    checkText(value, at);
    if (annotations[key] !== undefined && annotations[key] !== value) {
      throw new InvalidPolicyOptionError(at, `must stay ${JSON.stringify(annotations[key])}`);
    }
  }
  const all = { ...options.annotations, ...annotations };
  return {
    name,
    labels: { [NAME_LABEL]: DEFAULT_NAME, ...options.labels },
    ...(Object.keys(all).length > 0 ? { annotations: all } : {}),
  };
}

/** The selector for all other namespaces; Kubernetes labels each namespace with its name since 1.22. */
export function namespacesExcept(names: readonly string[]): NamespaceSelector {
  return { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: names }] };
}

const HOST_AND_PORT = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\//;
const PATH = /^(?:[a-z0-9][a-z0-9._-]*\/)*$/;

/** The prefixes, validated and without duplicates. */
export function checkTargets(targets: readonly string[], option = 'targets'): readonly string[] {
  checkList(targets, option);
  if (targets.length === 0) {
    throw new InvalidPolicyOptionError(option, 'must name at least one prefix; otherwise no image is swapped');
  }
  targets.forEach((target, index) => {
    const at = `${option}[${index}]`;
    refuseUnquotable(target, at);
    const host = HOST_AND_PORT.exec(target)?.[0];
    if (host === undefined || !PATH.test(target.slice(host.length))) {
      throw new InvalidPolicyOptionError(
        at,
        `${JSON.stringify(target)} must be the start of an image reference up to a "/", such as "registry.example.com/mirror/"`,
      );
    }
  });
  return [...new Set(targets)];
}

/** RFC 1123 label: a namespace's or Service's name. */
export function checkLabel(text: string, option: string): void {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) {
    throw new InvalidPolicyOptionError(
      option,
      `${JSON.stringify(text)} must be at most 63 lower-case letters, digits and "-"`,
    );
  }
}

/** RFC 1123 subdomain: the name of most objects. */
export function checkSubdomain(text: string, option: string, limit = 253): void {
  const label = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?';
  if (text.length > limit || !new RegExp(`^${label}(?:\\.${label})*$`).test(text)) {
    throw new InvalidPolicyOptionError(
      option,
      `${JSON.stringify(text)} must be at most ${limit} lower-case letters, digits, "-" and "."`,
    );
  }
}

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const NAME_ALLOWED = 'at most 63 letters, digits, "-", "_" and ".", with a letter or digit at both ends';

/** Labels that the API server accepts. */
export function checkLabels(labels: Readonly<Record<string, unknown>>, option: string): void {
  for (const [key, value] of Object.entries(labels)) {
    const at = `${option}[${JSON.stringify(key)}]`;
    checkKey(key, at);
    checkText(value, at);
    if (value !== '' && !NAME.test(value))
      throw new InvalidPolicyOptionError(at, `${JSON.stringify(value)} must be ${NAME_ALLOWED}, or empty`);
  }
}

/** A key of labels and annotations: `NAME` or `PREFIX/NAME`. */
function checkKey(key: string, option: string): void {
  const slash = key.indexOf('/');
  if (slash >= 0) checkSubdomain(key.slice(0, slash), option);
  if (!NAME.test(key.slice(slash + 1)))
    throw new InvalidPolicyOptionError(option, `the key must be ${NAME_ALLOWED}, after an optional DOMAIN/`);
}

/** The filters, validated as expressions. */
export function checkFilters(filters: readonly string[] = [], option = 'filters'): readonly string[] {
  checkList(filters, option);
  filters.forEach((filter: unknown, index) => {
    checkText(filter, `${option}[${index}]`);
    checkExpression(filter, `${option}[${index}]`);
  });
  return filters;
}

/** Rejects an expression that does not compile, with the position of the error. */
export function checkExpression(expression: string, option: string): void {
  refuseProblem(expression, option, ({ severity }) => severity === 'error');
}

/**
 * The same, and also rejects expressions that compile but can never work, as the service does in its own configuration
 * file.
 */
export function checkWorkingExpression(expression: string, option: string): void {
  refuseProblem(expression, option, () => true);
}

function refuseProblem(expression: string, option: string, refused: (problem: FilterProblem) => boolean): void {
  const error = compileFilter(expression, 0).problems.find(refused);
  if (error === undefined) return;
  const at = `${JSON.stringify(expression)}, column ${error.column}`;
  throw new InvalidPolicyOptionError(option, `${at}: ${error.message}`);
}
