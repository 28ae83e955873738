import type { Config } from '../config/model.js';
import type { NameTarget } from '../naming/target.js';
import type { PolicyObject } from '../policies/objects.js';
import { podOptions } from '../policies/options.js';
import type { PolicyOptions } from '../policies/options.js';
import { policyTargets } from '../policies/targets.js';
import { callerCredentials } from './access.js';
import { targetsOf } from '../config/registries.js';
import type { ConfigMapKey, DecidedInput, DecidedTarget, Engine, ImageTables, NamedMatch } from './engine.js';
import { engineNamed } from './engines.js';
import { checkGuards } from './guards.js';
import type { EngineName } from './names.js';
import { defaultUrl } from './transport.js';
import { canWait, timeoutSecondsFor } from './waiting.js';

export interface ConfigPolicyOptions extends Omit<PolicyOptions, 'url'> {
  readonly engine: EngineName;
  readonly nameTarget: NameTarget;
  /** @default the Service of a default install: the plain port for MutatingPolicy, else TLS */
  readonly url?: string;
  /** CA certificates (PEM) that sign the service's certificate. */
  readonly caBundle?: string;
  /** The ConfigMap from which the engine reads them, if it supports that. Not with `caBundle`. */
  readonly caConfigMap?: ConfigMapKey;
  /** Whether the service itself manages the objects. */
  readonly managed?: boolean;
  /** The contents of the targets, for an engine whose policies contain them. */
  readonly tables?: ImageTables;
}

/**
 * The policies of an engine for a configuration, in the order in which to apply them.
 *
 * @throws InvalidPolicyOptionError for options that the engine does not support
 */
export function policiesForConfig(
  config: Config,
  { engine: name, nameTarget, url, caBundle, caConfigMap, tables, ...options }: ConfigPolicyOptions,
): readonly PolicyObject[] {
  const engine = engineNamed(name, config.policies);
  const targets = policyTargets(config, nameTarget);
  engine.decides.checkMatches?.(matchesOf(config));
  const decided = decidedInput(config, nameTarget);
  const computes = decided.targets.some(({ swapPolicy }) => swapPolicy === 'always');
  checkGuards(config.source, engine, { failClosed: options.failClosed === true, computes });
  const timeoutSeconds = options.timeoutSeconds ?? timeoutFor(engine, copyPoliciesOf(config), config.imageCopyDeadline);
  return engine.render({
    ...options,
    ...(timeoutSeconds !== undefined && { timeoutSeconds }),
    targets,
    directTarget: config.source.directTarget,
    filters: config.source.filters.map(({ jmespath }) => jmespath),
    pods: podOptions(config),
    excludedNamespaces: [...(options.excludedNamespaces ?? []), ...config.policies.excludedNamespaces],
    decided: { ...decided, ...(tables !== undefined && { tables }) },
    call: {
      url: url ?? defaultUrl(name),
      credentials: callerCredentials(config),
      ...(caBundle !== undefined && { caBundle }),
      ...(caConfigMap !== undefined && { caConfigMap }),
    },
  });
}

/**
 * Timeout in seconds for requests that wait for copies, if the engine's requests do; undefined for the default timeout.
 */
export function timeoutFor(
  { decides }: Pick<Engine, 'decides'>,
  policies: readonly (string | undefined)[],
  deadline: number,
): number | undefined {
  return canWait({ decides }) ? timeoutSecondsFor(policies, deadline) : undefined;
}

/** The part of the configuration with which an engine decides without the service. */
export function decidedInput(
  config: Config,
  nameTarget: NameTarget,
): Pick<DecidedInput, 'targets' | 'publicOnly' | 'dryRun'> {
  return {
    targets: decidedTargets(config, nameTarget),
    publicOnly: config.source.accessCheck !== 'none',
    dryRun: config.dryRun,
  };
}

/** The targets for an engine that decides without the service. */
export function decidedTargets(config: Config, nameTarget: NameTarget): readonly DecidedTarget[] {
  const matches = matchesOf(config);
  return targetsOf(config).map((target, index) => ({
    option: matches[index]?.option ?? 'target.match',
    ...(target.match !== undefined && { match: target.match }),
    naming: nameTarget(target),
    swapPolicy: target.imageSwapPolicy ?? config.imageSwapPolicy,
    copyPolicy: target.imageCopyPolicy ?? config.imageCopyPolicy,
    platforms: target.platforms ?? config.mirror.platforms,
  }));
}

/** Every `match` of the targets, in the order in which they are tried. */
export function matchesOf({ targets, target }: Config): readonly NamedMatch[] {
  return [
    ...targets.map(({ match }, index) => ({ option: `targets[${index}].match`, match })),
    { option: 'target.match', match: target?.match },
  ];
}

function copyPoliciesOf({ targets, target, imageCopyPolicy }: Config): readonly string[] {
  return [...targets, ...(target === undefined ? [] : [target])].map((one) => one.imageCopyPolicy ?? imageCopyPolicy);
}
