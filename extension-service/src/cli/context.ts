import { ConfigError, NoConfigFileError } from '../config/problem.js';
import { loadConfig } from '../config/load.js';
import type { LoadOptions, LoadedConfig } from '../config/load.js';
import type { Config } from '../core/config/model.js';
import { clusterSeenStore } from '../kubernetes/first-seen-map.js';
import { LazyPullSecrets } from '../kubernetes/lazy-pull-secrets.js';
import type { RegistryCopierOptions } from '../mirror/registry-copier.js';
import type { Logger } from '../telemetry/log.js';
import { createLogger } from '../telemetry/log.js';
import type { CloudEvent } from '../kinds/cloud.js';
import { openClouds } from '../kinds/clouds.js';
import type { ReadSecretKey } from '../shared-queue/settings.js';
import { CliError, EXIT } from './exit.js';
import type { Streams } from './output.js';

/** The environment of a command. */
export interface CommandContext extends Streams {
  readonly stdin: NodeJS.ReadableStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Flags for configuration keys; undefined if not given. */
export interface ConfigFlags {
  readonly config?: string;
  readonly logLevel?: string;
  readonly logFormat?: string;
  readonly dryRun?: boolean;
  /** `KEY=VALUE` for any key; for a repeated key the last one counts. */
  readonly set?: readonly string[];
}

/**
 * Use `checkFiles: false` for commands that contact no registry: the configuration names files of the Pod, not of this
 * machine.
 *
 * @throws CliError with every problem of the file, one per line
 */
export async function load(
  context: CommandContext,
  flags: ConfigFlags,
  options: Pick<LoadOptions, 'checkFiles' | 'helmValues'> = {},
): Promise<LoadedConfig> {
  try {
    return await loadUnchecked(context, flags, options);
  } catch (error) {
    if (error instanceof ConfigError) throw new CliError(EXIT.usage, error.message);
    throw error;
  }
}

/** The same; undefined if no file was given or found, and flags and environment do not suffice. */
export async function loadIfPresent(
  context: CommandContext,
  flags: ConfigFlags,
  options: Pick<LoadOptions, 'checkFiles'> = {},
): Promise<LoadedConfig | undefined> {
  try {
    return await loadUnchecked(context, flags, options);
  } catch (error) {
    if (error instanceof NoConfigFileError) return undefined;
    if (error instanceof ConfigError) throw new CliError(EXIT.usage, error.message);
    throw error;
  }
}

async function loadUnchecked(
  context: CommandContext,
  flags: ConfigFlags,
  options: Pick<LoadOptions, 'checkFiles' | 'helmValues'>,
): Promise<LoadedConfig> {
  const { config: path, logLevel, logFormat, dryRun } = flags;
  const own = Object.entries({ logLevel, logFormat, dryRun }).filter(([, value]) => value !== undefined);
  const given = [...(flags.set ?? []).map(assignment), ...own];
  return loadConfig({
    ...(path !== undefined && { path }),
    ...options,
    cwd: context.cwd,
    env: context.env,
    flags: Object.fromEntries(given),
  });
}

function assignment(text: string): readonly [string, string] {
  const [, key = '', value = ''] = /^\s*([^=\s]+)\s*=(.*)$/s.exec(text) ?? [];
  if (key === '')
    throw new CliError(
      EXIT.usage,
      `--set ${JSON.stringify(text)}: expected KEY=VALUE, such as target.oci.prefix=mirror`,
    );
  return [key, value];
}

export function logger(loaded: LoadedConfig): Logger {
  return createLogger({ level: loaded.config.logLevel, format: loaded.config.logFormat });
}

/**
 * Time limit of a command for asking one registry, logins included. Admissions give up after 5 s; a user can
 * interrupt a command, and may be far from the registry.
 */
export const LOOKUP_TIMEOUT_MS = 30_000;

/** Registry access for a single-threaded command: secrets come from the cluster, if there is one. */
export function registryOptions(
  context: CommandContext,
  config: Config,
  report: (problem: string) => void,
  clouds: 'reported' | 'quiet' = 'reported',
): RegistryCopierOptions & { readonly readSecretKey: ReadSecretKey } {
  const { secretReader: reader } = config;
  const secrets = new LazyPullSecrets({ env: context.env, reader, onProblem: report, watch: false });
  const onEvent = (event: CloudEvent): void => {
    if (clouds === 'reported') reportFailure(event, report);
  };
  return {
    env: context.env,
    report,
    readSecret: (name, namespace) => secrets.named(name, namespace),
    readSecretKey: (name, key) => secrets.key(name, key),
    pullSecrets: secrets,
    seenStore: clusterSeenStore(context.env),
    cloud: openClouds({ env: context.env, onEvent, report }),
  };
}

/** A terminal shows only failed cloud events. */
function reportFailure(event: CloudEvent, report: (problem: string) => void): void {
  if (event.kind !== 'drift' && 'message' in event && event.message !== undefined) report(event.message);
}
