import type { TargetConfig } from '../../extension-service/src/core/config/model.js';
import { foreignMember, typeOfRegistry } from '../../extension-service/src/core/config/registry-type.js';
import { hostFault } from '../../extension-service/src/core/naming/host-fault.js';
import { InvalidTargetError, namingTarget } from '../../extension-service/src/core/naming/target.js';
import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';
import type { SwapperPolicies } from './swapper-policies.js';

/**
 * The service's configuration file as data, such as `Yaml.load('image-swapper.yaml')[0]`. Only what policies depend on is
 * read; `image-swapper check` says whether the rest is right.
 */
export interface SwapperConfig {
  readonly source?: { readonly filters?: readonly { readonly jmespath: string }[] };
  readonly target?: SwapperTarget;
  readonly targets?: readonly SwapperTarget[];
  /** Defaults of the props of the same names. */
  readonly policies?: SwapperPolicies;
}

/** One registry that images are mirrored into; one of `aws`, `gcp` and `oci` is set. */
export interface SwapperTarget {
  /** @default the one of aws, gcp and oci that is there */
  readonly type?: 'aws' | 'gcp' | 'oci';
  readonly aws?: {
    /** Twelve digits, as text: a number loses leading zeros. */
    readonly accountId: string;
    readonly region: string;
    readonly prefix?: string;
    readonly endpoint?: 'standard' | 'fips' | 'dual-stack' | 'fips-dual-stack';
  };
  readonly gcp?: { readonly location: string; readonly projectId: string; readonly repositoryId: string };
  readonly oci?: { readonly registry: string; readonly prefix?: string };
}

/** The prefixes of image references that the targets stand for, in order. */
export function targetsOf(config: SwapperConfig): string[] {
  const named = [
    ...(config.targets ?? []).map((target, index) => ({ target, option: `config.targets[${index}]` })),
    ...(config.target == null ? [] : [{ target: config.target, option: 'config.target' }]),
  ];
  if (named.length === 0)
    throw new InvalidPolicyOptionError('config.target', 'must be given: images have nowhere to go');
  return [...new Set(named.map(({ target, option }) => prefixOf(target, option)))];
}

export function filtersOf({ source }: SwapperConfig): string[] {
  return (source?.filters ?? []).map(({ jmespath }, index) =>
    text(jmespath, `config.source.filters[${index}].jmespath`),
  );
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

export function text(value: unknown, option: string): string {
  if (typeof value === 'string' && value !== '') return value;
  const shown = JSON.stringify(value) ?? 'nothing';
  throw new InvalidPolicyOptionError(option, `${shown} must be a text; in YAML, put quotes around it`);
}
