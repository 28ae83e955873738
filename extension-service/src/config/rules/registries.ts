import type {
  AwsConfig,
  Config,
  CredentialsConfig,
  GcpConfig,
  OciConfig,
  RegistryConfig,
  TargetConfig,
} from '../../core/config/model.js';
import type { Parsed } from '../parsed.js';
import type { Path } from '../tree.js';
import { checkAws } from './aws.js';
import type { RuleContext } from './context.js';

/** A registry of the configuration, with its path; undefined where nothing of it parsed. */
export interface Located<T> {
  readonly path: Path;
  readonly config: Parsed<T> | undefined;
}

/** The targets in the order in which they are asked. */
export function targetsOf({ config }: { readonly config: Parsed<Config> }): readonly Located<TargetConfig>[] {
  return [
    ...(config.targets ?? []).map((target, index) => ({ path: ['targets', index], config: target })),
    ...(config.target === undefined ? [] : [{ path: ['target'], config: config.target }]),
  ];
}

/** Every registry: the targets, then the sources. */
export function registriesOf(context: { readonly config: Parsed<Config> }): readonly Located<RegistryConfig>[] {
  const sources = context.config.source?.registries ?? [];
  return [
    ...targetsOf(context),
    ...sources.map((config, index) => ({ path: ['source', 'registries', index], config })),
  ];
}

/** What describes a registry, of each type; only that of its own type when the type is known. */
export interface Members {
  readonly aws?: Parsed<AwsConfig> | undefined;
  readonly gcp?: Parsed<GcpConfig> | undefined;
  readonly oci?: Parsed<OciConfig> | undefined;
}

export function membersOf({ config }: Located<RegistryConfig>): Members {
  return config ?? {};
}

/** What the parts of one registry must be together. */
export function checkRegistries(context: RuleContext): void {
  for (const registry of registriesOf(context)) {
    const { path } = registry;
    const { aws, oci } = membersOf(registry);
    if (aws !== undefined) checkAws(context, [...path, 'aws'], aws, path[0] === 'source');
    if (oci === undefined) continue;
    if (oci.credentials !== undefined) checkCredentials(context, [...path, 'oci', 'credentials']);
    const caFile = [...path, 'oci', 'caFile'];
    if (oci.insecure === true && context.isWritten(caFile)) {
      context.warn(caFile, 'is not read, because insecure is true');
    }
  }
}

const LOGINS = [
  'secretName',
  'password',
  'passwordFile',
  'dockerConfigFile',
] as const satisfies (keyof CredentialsConfig)[];

function checkCredentials(context: RuleContext, path: Path): void {
  const has = (key: keyof CredentialsConfig) => context.isWritten([...path, key]);
  const given = LOGINS.filter(has);
  const report = (key: string, message: string, allowed?: string) => {
    context.error(key === '' ? path : [...path, key], message, allowed);
  };
  if (given.length === 0) {
    report('', 'says nothing about how to log in', `one of ${LOGINS.join(', ')} is needed`);
  } else if (given.length > 1) {
    report(given[1] ?? '', `is there besides ${given[0] ?? ''}`, `one of ${LOGINS.join(', ')} is allowed`);
  }
  const withUser = has('password') || has('passwordFile');
  if (withUser && !has('username')) report('username', 'is missing, and there is a password');
  if (has('username') && !withUser && given.length > 0) {
    report('username', `is of no use with ${given[0] ?? ''}`, 'it goes with password or passwordFile');
  }
  if (has('namespace') && !has('secretName')) report('namespace', 'is of no use without secretName');
}
