import { parseDuration } from '../../extension-service/src/core/config/duration.js';
import type { TargetConfig } from '../../extension-service/src/core/config/model.js';
import { foreignMember, typeOfRegistry } from '../../extension-service/src/core/config/registry-type.js';
import { hostFault } from '../../extension-service/src/core/naming/host-fault.js';
import { InvalidTargetError, namingTarget } from '../../extension-service/src/core/naming/target.js';
import { secondsFor, USUAL_DEADLINE } from '../../extension-service/src/core/policies/for-config.js';
import { checkExpression } from '../../extension-service/src/core/policies/options.js';
import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';
import { list, mapping, text } from '../../extension-service/src/core/policies/shapes.js';
import type { SwapperPolicies } from './swapper-policies.js';

/**
 * The service's configuration file as data, such as `Yaml.load('image-swapper.yaml')[0]`. Only what policies depend on is
 * read; `image-swapper check` says whether the rest is right.
 */
export interface SwapperConfig {
  readonly source?: {
    readonly filters?: readonly { readonly jmespath: string; readonly [key: string]: unknown }[];
    readonly [key: string]: unknown;
  };
  readonly imageCopyPolicy?: ImageCopyPolicy;
  /** How long requests wait for copies under `immediate` and `force`, such as `8s`. */
  readonly imageCopyDeadline?: string;
  readonly target?: SwapperTarget;
  readonly targets?: readonly SwapperTarget[];
  /** Defaults of the props of the same names. */
  readonly policies?: SwapperPolicies;
  /** Whatever else the service reads. */
  readonly [key: string]: unknown;
}

/** `immediate` and `force` wait for nothing under gatekeeper: the synth warns. */
export type ImageCopyPolicy = 'delayed' | 'immediate' | 'force' | 'none';

/** One registry that images are mirrored into; one of `aws`, `gcp` and `oci` is set. */
export interface SwapperTarget {
  /** JMESPath that says which images go here; under gatekeeper, about `container.image` alone. */
  readonly match?: string;
  readonly imageCopyPolicy?: ImageCopyPolicy;
  /** @default the one of aws, gcp and oci that is there */
  readonly type?: 'aws' | 'gcp' | 'oci';
  readonly aws?: {
    /** Twelve digits, as text: a number loses leading zeros. */
    readonly accountId: string;
    readonly region: string;
    readonly prefix?: string;
    readonly endpoint?: 'standard' | 'fips' | 'dual-stack' | 'fips-dual-stack';
    readonly [key: string]: unknown;
  };
  readonly gcp?: {
    readonly location: string;
    readonly projectId: string;
    readonly repositoryId: string;
    readonly [key: string]: unknown;
  };
  readonly oci?: { readonly registry: string; readonly prefix?: string; readonly [key: string]: unknown };
  /** Whatever else the service reads, such as `name`. */
  readonly [key: string]: unknown;
}

/** The prefixes of image references that the targets stand for, in order. */
export function targetsOf(config: SwapperConfig): string[] {
  const named = namedTargets(config);
  if (named.length === 0)
    throw new InvalidPolicyOptionError('config.target', 'must be given: images have nowhere to go');
  return [...new Set(named.map(({ target, option }) => prefixOf(target, option)))];
}

/** Seconds that requests take which wait for copies, as the service's own rendering has it; undefined where none waits. */
export function timeoutOf(config: SwapperConfig): number | undefined {
  const policies = namedTargets(config).map(({ target }) => target.imageCopyPolicy ?? config.imageCopyPolicy);
  const { imageCopyDeadline: written } = config;
  const deadline = written === undefined ? USUAL_DEADLINE : parseDuration(text(written, 'config.imageCopyDeadline'));
  if (deadline === undefined) {
    throw new InvalidPolicyOptionError('config.imageCopyDeadline', 'must be a duration such as "8s"');
  }
  return secondsFor(policies, deadline);
}

/** Where each target says which images it takes, checked to be an expression. */
export function matchesOf(config: SwapperConfig): { option: string; match?: string }[] {
  return namedTargets(config).map(({ target, option: place }) => {
    const option = `${place}.match`;
    if (target.match == null) return { option };
    const match = text(target.match, option);
    checkExpression(match, option);
    return { option, match };
  });
}

export function filtersOf({ source }: SwapperConfig): string[] {
  if (source == null) return [];
  const option = 'config.source.filters';
  return list(mapping(source, 'config.source').filters, option).map((filter, index) =>
    text(mapping(filter, `${option}[${index}]`).jmespath, `${option}[${index}].jmespath`),
  );
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

function prefixOf(target: SwapperTarget, option: string): string {
  try {
    const { host, path } = namingTarget(whole(target, option));
    return `${host}/${path === '' ? '' : `${path}/`}`;
  } catch (error) {
    if (!(error instanceof InvalidTargetError)) throw error;
    const [{ key, message } = { key: 'type', message: error.message }] = error.problems;
    throw new InvalidPolicyOptionError(`${option}.${key}`, message);
  }
}

/** With what naming does not look at filled in. */
function whole(target: SwapperTarget, option: string): TargetConfig {
  const type = typeOf(target, option);
  const { oci, aws, gcp } = target;
  const at = (key: string): string => `${option}.${type}.${key}`;
  const name = option;
  if (type === 'oci' && oci != null) {
    return {
      name,
      type,
      oci: { registry: host(oci.registry, at('registry')), prefix: path(oci.prefix, at('prefix')), insecure: false },
    };
  }
  if (type === 'gcp' && gcp != null) {
    const { location, projectId, repositoryId } = gcp;
    return {
      name,
      type,
      gcp: {
        location: text(location, at('location')),
        projectId: text(projectId, at('projectId')),
        repositoryId: text(repositoryId, at('repositoryId')),
        createRepository: false,
        reconcilePolicies: false,
        repository: { labels: [] },
        cleanupDryRun: false,
        readers: [],
      },
    };
  }
  if (type === 'aws' && aws != null) {
    return {
      name,
      type,
      aws: {
        accountId: text(aws.accountId, at('accountId')),
        region: text(aws.region, at('region')),
        prefix: path(aws.prefix, at('prefix')),
        ...(aws.endpoint !== undefined && { endpoint: aws.endpoint }),
        ecrOptions: {
          tags: [],
          imageTagMutability: 'MUTABLE',
          imageTagMutabilityExclusionFilters: [],
          imageScanningConfiguration: { imageScanOnPush: false },
          encryptionConfiguration: { encryptionType: 'AES256' },
        },
        repositories: { mode: 'preexisting', reconcilePolicies: false },
        quotas: { putImage: 1, initiateLayerUpload: 1, completeLayerUpload: 1 },
      },
    };
  }
  throw new InvalidPolicyOptionError(`${option}.${type}`, 'must be given: it says where the registry is');
}

const TYPES = ['aws', 'gcp', 'oci'] as const;

/** As the service tells it. */
function typeOf(target: SwapperTarget, option: string): string | undefined {
  const entries = new Map<string, unknown>(Object.entries(target));
  const has = (key: string): boolean => entries.get(key) != null;
  const { type, fault, foreign } = typeOfRegistry(target.type ?? undefined, has, TYPES);
  if (fault !== undefined)
    throw new InvalidPolicyOptionError(`${option}.type`, `${fault}: allowed are ${TYPES.join(', ')}`);
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
