import { parseDuration } from '../../extension-service/src/core/config/duration.js';
import { foreignMember, typeOfRegistry } from '../../extension-service/src/core/config/registry-type.js';
import {
  formatPlatform,
  InvalidPlatformError,
  parsePlatform,
} from '../../extension-service/src/core/image/platform.js';
import { hostFault } from '../../extension-service/src/core/naming/host-fault.js';
import { imagePrefixes, InvalidTargetError, problemKey } from '../../extension-service/src/core/naming/target.js';
import { usableTarget } from '../../extension-service/src/core/naming/usable-target.js';
import type { NamingTarget } from '../../extension-service/src/core/naming/target.js';
import { timeoutSecondsFor, DEFAULT_DEADLINE_MS } from '../../extension-service/src/core/engines/waiting.js';
import { checkWorkingExpression } from '../../extension-service/src/core/policies/options.js';
import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';
import { DEFAULT_OPERATORS } from '../../extension-service/src/core/decide/operators.js';
import {
  checkList,
  checkText,
  list,
  mapping,
  oneOf,
  text,
  boolean,
} from '../../extension-service/src/core/policies/shapes.js';
import type { KindNaming } from './kind-naming.js';
import type { OperatorProps, PodProps } from './pod-props.js';
import type { SwapperRegistry } from './registry-kinds.js';
import { NAMINGS } from './registry-kinds.js';
import type { SwapperPolicies } from './swapper-policies.js';

/**
 * The service's configuration file as data, such as `Yaml.load('image-swapper.yaml')[0]`. Only the keys that policies
 * depend on are read; use `image-swapper check` to check the rest.
 */
export interface SwapperConfig {
  readonly source?: {
    readonly filters?: readonly { readonly jmespath: string; readonly [key: string]: unknown }[];
    /** `refuse`: refuse Pods that name a mirrored image directly. */
    readonly directTarget?: 'keep' | 'refuse';
    /** @default true */
    readonly volumes?: boolean;
    readonly accessCheck?: 'none' | 'pullSecrets';
    /** Operators whose Pods are not changed. */
    readonly operators?: readonly OperatorProps[];
    readonly [key: string]: unknown;
  };
  /** Fields that are added to swapped Pods. */
  readonly pods?: { readonly pullSecret?: string; readonly annotate?: boolean };
  readonly imageCopyPolicy?: ImageCopyPolicy;
  readonly imageSwapPolicy?: ImageSwapPolicy;
  /** How long requests wait for copies under `immediate` and `force`, such as `8s`. */
  readonly imageCopyDeadline?: string;
  /** How callers authenticate: the policies send the text of `secretName`, and `path`. */
  readonly auth?: {
    readonly kyverno?: {
      readonly secretName?: string;
      /** @default 'kyverno' */
      readonly secretNamespace?: string;
      readonly [key: string]: unknown;
    };
    readonly webhook?: { readonly path?: string };
    readonly [key: string]: unknown;
  };
  readonly target?: SwapperTarget;
  readonly targets?: readonly SwapperTarget[];
  readonly mirror?: {
    /** The platforms that targets contain. @default 'all' */
    readonly platforms?: 'all' | readonly string[];
    readonly [key: string]: unknown;
  };
  readonly reconcile?: { readonly enabled?: boolean; readonly [key: string]: unknown };
  /** Nothing is swapped. @default false */
  readonly dryRun?: boolean;
  /** Defaults for the props with the same names. */
  readonly policies?: SwapperPolicies;
  /** Other keys that the service reads. */
  readonly [key: string]: unknown;
}

/** `immediate` and `force` do not wait with gatekeeper: the synth warns. */
export type ImageCopyPolicy = 'delayed' | 'immediate' | 'force' | 'none';

/** `exists` is rejected for mutatingadmissionpolicy: only the service can maintain the table that it needs. */
export type ImageSwapPolicy = 'exists' | 'always';

/** One registry that images are mirrored into. */
export interface SwapperTarget extends SwapperRegistry {
  /** JMESPath that selects the images for this target; with gatekeeper, on `container.image` alone. */
  readonly match?: string;
  readonly imageCopyPolicy?: ImageCopyPolicy;
  readonly imageSwapPolicy?: ImageSwapPolicy;
  /** Overrides `mirror.platforms`. */
  readonly platforms?: 'all' | readonly string[];
  /**
   * The path of each source registry in the target, instead of its host, for pull-through caches: `{ 'docker.io':
   * 'docker-hub' }`. The target accepts only images of these registries.
   */
  readonly paths?: Readonly<Record<string, string>>;
  /** @default 'default' for `target` */
  readonly name?: string;
  /** Other keys that the service reads. */
  readonly [key: string]: unknown;
}

/** The prefixes of image references for each target, in order. */
export function targetsOf(config: SwapperConfig): string[] {
  const named = namedTargets(config);
  if (named.length === 0) {
    const isValues = typeof config['config'] === 'object' && config['config'] !== null;
    const hint = isValues ? "; this looks like the chart's Helm values: give what is below config" : '';
    throw new InvalidPolicyOptionError('config.target', `is required: images need a target${hint}`);
  }
  return [...new Set(named.flatMap(({ target, option }) => imagePrefixes(namingOf(target, option))))];
}

/**
 * The input of an engine that decides Pods itself, as the service's own rendering has it: a `DecidedInput`, a type that
 * is not part of the package.
 */
export function decidedOf(config: SwapperConfig): {
  readonly targets: readonly object[];
  readonly publicOnly: boolean;
  readonly dryRun: boolean;
} {
  const matches = matchesOf(config);
  const platforms = platformsOf(config.mirror?.platforms, 'config.mirror.platforms') ?? 'all';
  const targets = namedTargets(config).map(({ target, option }, index) => ({
    ...(matches[index] ?? { option }),
    naming: namingOf(target, option),
    swapPolicy: swapPolicyOf(target.imageSwapPolicy ?? config.imageSwapPolicy),
    copyPolicy: target.imageCopyPolicy ?? config.imageCopyPolicy ?? 'delayed',
    platforms: platformsOf(target.platforms, `${option}.platforms`) ?? platforms,
  }));
  const accessCheck = oneOf(config.source?.accessCheck, 'config.source.accessCheck', ['none', 'pullSecrets']);
  return { targets, publicOnly: accessCheck === 'pullSecrets', dryRun: config.dryRun === true };
}

function platformsOf(value: unknown, option: string): 'all' | readonly string[] | undefined {
  if (value == null || value === 'all') return value ?? undefined;
  checkList(value, option);
  if (value.length === 0) throw new InvalidPolicyOptionError(option, 'is empty: list platforms, or set all');
  return value.map((one, index) => {
    const place = `${option}[${index}]`;
    try {
      return formatPlatform(parsePlatform(text(one, place)));
    } catch (error) {
      if (!(error instanceof InvalidPlatformError)) throw error;
      throw new InvalidPolicyOptionError(place, error.message);
    }
  });
}

function swapPolicyOf(written: unknown): 'always' | 'exists' {
  return written === 'always' ? 'always' : 'exists';
}

/**
 * The timeout in seconds for requests that wait for copies, as in the service's own rendering; undefined if none waits.
 */
export function timeoutOf(config: SwapperConfig): number | undefined {
  const policies = namedTargets(config).map(({ target }) => target.imageCopyPolicy ?? config.imageCopyPolicy);
  const { imageCopyDeadline: written } = config;
  const deadline =
    written === undefined ? DEFAULT_DEADLINE_MS : parseDuration(text(written, 'config.imageCopyDeadline'));
  if (deadline === undefined) {
    throw new InvalidPolicyOptionError('config.imageCopyDeadline', 'must be a duration such as "8s"');
  }
  return timeoutSecondsFor(policies, deadline);
}

/** `source.directTarget`, if it is set. */
export function directTargetOf({ source }: SwapperConfig): { readonly directTarget?: 'keep' | 'refuse' } {
  const directTarget = oneOf(source?.directTarget, 'config.source.directTarget', ['keep', 'refuse']);
  return directTarget === undefined ? {} : { directTarget };
}

/** The `match` expression of each target, validated. */
export function matchesOf(config: SwapperConfig): { option: string; match?: string }[] {
  return namedTargets(config).map(({ target, option: place }) => {
    const option = `${place}.match`;
    if (target.match == null) return { option };
    const match = text(target.match, option);
    checkWorkingExpression(match, option);
    return { option, match };
  });
}

/** The credentials that the policies send. */
export function callerOf({ auth }: SwapperConfig): {
  readonly callerSecret?: { readonly name: string; readonly namespace: string };
  readonly callerPath?: string;
} {
  if (auth == null) return {};
  const { kyverno, webhook } = mapping(auth, 'config.auth');
  const at = 'config.auth.kyverno';
  const { secretName, secretNamespace } = kyverno == null ? {} : mapping(kyverno, at);
  const { path: callerPath } = webhook == null ? {} : mapping(webhook, 'config.auth.webhook');
  return {
    ...(secretName != null && {
      callerSecret: {
        name: text(secretName, `${at}.secretName`),
        namespace: secretNamespace == null ? 'kyverno' : text(secretNamespace, `${at}.secretNamespace`),
      },
    }),
    ...(callerPath != null && { callerPath: callerPathOf(callerPath) }),
  };
}

function callerPathOf(value: unknown): string {
  const option = 'config.auth.webhook.path';
  const path = text(value, option);
  if (/^[0-9a-f]{32}$/.test(path)) return path;
  throw new InvalidPolicyOptionError(option, 'must be 32 lower-case hexadecimal digits');
}

/** Other parts of the configuration that policies depend on. */
export function podsOf({ source, pods }: SwapperConfig): PodProps {
  const { pullSecret, annotate } = pods == null ? {} : mapping(pods, 'config.pods');
  const { volumes, operators } = source == null ? {} : mapping(source, 'config.source');
  const option = 'config.source.operators';
  return {
    ...(volumes != null && { volumes: boolean(volumes, 'config.source.volumes') ?? true }),
    ...(pullSecret != null && { pullSecret: text(pullSecret, 'config.pods.pullSecret') }),
    ...(annotate != null && { annotate: boolean(annotate, 'config.pods.annotate') ?? false }),
    operators:
      operators == null
        ? DEFAULT_OPERATORS
        : list(operators, option).map((one, index) => {
            const { apiGroup, kind, label } = mapping(one, `${option}[${index}]`);
            return {
              apiGroup: text(apiGroup, `${option}[${index}].apiGroup`),
              kind: text(kind, `${option}[${index}].kind`),
              ...(label != null && { label: text(label, `${option}[${index}].label`) }),
            };
          }),
  };
}

export function filtersOf({ source }: SwapperConfig): string[] {
  if (source == null) return [];
  const option = 'config.source.filters';
  return list(mapping(source, 'config.source').filters, option).map((filter, index) => {
    const place = `${option}[${index}]`;
    const expression = text(mapping(filter, place).jmespath, `${place}.jmespath`);
    checkWorkingExpression(expression, place);
    return expression;
  });
}

function namedTargets({ targets, target }: SwapperConfig): readonly NamedTarget[] {
  return [
    ...list(targets, 'config.targets').map((one, index) => ({ target: one, option: `config.targets[${index}]` })),
    ...(target == null ? [] : [{ target, option: 'config.target' }]),
  ].map((named) => ({ ...named, target: mapping(named.target, named.option) }));
}

interface NamedTarget {
  readonly target: SwapperTarget;
  readonly option: string;
}

function namingOf(target: SwapperTarget, option: string): NamingTarget {
  const type = typeOf(target, option) ?? '';
  const naming = NAMINGS.get(type);
  const written = new Map<string, unknown>(Object.entries(target)).get(type);
  if (naming === undefined || typeof written !== 'object' || written === null) {
    throw new InvalidPolicyOptionError(`${option}.${type}`, 'is required: it configures the registry');
  }
  const settings = settingsOf(naming.reads, written, `${option}.${type}`);
  const keys = { host: `${type}.${naming.keys.host}`, path: `${type}.${naming.keys.path}` };
  try {
    // Contains the keys in `reads`, in their forms.
    return usableTarget(nameOf(target, option), naming.place(settings as never), keys, pathsOf(target, option));
  } catch (error) {
    if (!(error instanceof InvalidTargetError)) throw error;
    const [problem = { key: 'type', message: error.message }] = error.problems;
    throw new InvalidPolicyOptionError(`${option}.${problemKey(problem)}`, problem.message);
  }
}

/** The name in the service's messages and in its table. */
function nameOf({ name }: SwapperTarget, option: string): string {
  if (name != null) return text(name, `${option}.name`);
  return option === 'config.target' ? 'default' : option;
}

function pathsOf({ paths }: SwapperTarget, option: string): Readonly<Record<string, string>> | undefined {
  if (paths == null) return undefined;
  for (const [registry, path] of Object.entries(mapping(paths, `${option}.paths`))) {
    checkText(path, `${option}.paths.${registry}`);
  }
  return paths;
}

/** The keys that naming reads, validated. */
function settingsOf(reads: KindNaming['reads'], written: object, option: string): object {
  const values = new Map<string, unknown>(Object.entries(written));
  return Object.fromEntries(
    Object.entries(reads).flatMap(([key, kind]) => {
      const value = values.get(key);
      const at = `${option}.${key}`;
      if (kind === 'choice') return value == null ? [] : [[key, value]];
      if (kind === 'path') return [[key, path(value, at)]];
      return [[key, kind === 'host' ? host(value, at) : text(value, at)]];
    }),
  );
}

const TYPES = [...NAMINGS.keys()];

/** With the service's wording. */
function typeOf(target: SwapperTarget, option: string): string | undefined {
  const entries = new Map<string, unknown>(Object.entries(target));
  const has = (key: string): boolean => entries.get(key) != null;
  const { type, fault, foreign } = typeOfRegistry(target.type ?? undefined, has, TYPES);
  if (fault !== undefined)
    throw new InvalidPolicyOptionError(`${option}.type`, `${fault}: expected one of ${TYPES.join(', ')}`);
  const [other] = foreign;
  if (other === undefined) return type;
  throw new InvalidPolicyOptionError(
    `${option}.${other}`,
    `${foreignMember(type ?? '')}: leave it out, or set type: ${other}`,
  );
}

function host(value: unknown, option: string): string {
  const registry = text(value, option);
  const fault = hostFault(registry);
  if (fault === undefined) return registry;
  throw new InvalidPolicyOptionError(option, `${fault.message}: ${fault.allowed}`);
}

function path(value: unknown, option: string): string {
  return value == null || value === '' ? '' : text(value, option);
}
