import { stringify } from 'yaml';
import { unreadable } from '../util/unreadable.js';
import type { Config } from '../core/config/model.js';
import { copyWarnings } from '../core/engines/copy-warnings.js';
import type { ConfigMapKey } from '../core/engines/engine.js';
import { engineNamed, ENGINES, enginesThat } from '../core/engines/engines.js';
import { policiesForConfig } from '../core/engines/for-config.js';
import type { ConfigPolicyOptions } from '../core/engines/for-config.js';
import { ENGINE_NAMES } from '../core/engines/names.js';
import type { EngineName } from '../core/engines/names.js';
import type { PolicyObject } from '../core/policies/objects.js';
import { InvalidPolicyOptionError } from '../core/policies/problem.js';
import { defaultUrl, transportWarnings } from '../core/engines/transport.js';
import { connectCluster } from '../kubernetes/api.js';
import { deleteManaged } from '../kubernetes/managed-policies/delete-managed.js';
import { FIELD_MANAGER, LEASE_ANNOTATION, MANAGED_BY } from '../kubernetes/managed-policies/owner.js';
import { kindsFor, PolicyObjects } from '../kubernetes/managed-policies/policy-objects.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load, loadIfPresent } from './context.js';
import { engineValues } from './engine-values.js';
import { CliError, EXIT } from './exit.js';
import { readInput } from './read-input.js';
import { messageOf } from '../util/message-of.js';
import { namingTarget } from '../kinds/registry-naming.js';

export interface PoliciesFlags extends ConfigFlags {
  /** Required unless `deleteManaged` is set. */
  readonly engine?: EngineName;
  readonly url?: string;
  readonly caFile?: string;
  /** `NAMESPACE/NAME[:KEY]` */
  readonly caConfigMap?: string;
  readonly failClosed?: boolean;
  readonly engineValues?: boolean;
  readonly deleteManaged?: boolean;
  /** With `deleteManaged`: the service's namespace, if it is not the process's own. */
  readonly namespace?: string;
}

type ChosenFlags = Pick<PoliciesFlags, 'url' | 'failClosed'> & { readonly engine: EngineName };

/** The CA that signs the service's certificate, in the form that the policies use. */
type CaChoice = Pick<ConfigPolicyOptions, 'caBundle' | 'caConfigMap'>;

/**
 * Prints the policies of one engine for the current configuration, ready for `kubectl apply -f -`, or the values that
 * they need in the engine's own Helm chart; or deletes the managed policies.
 */
export async function policies(context: CommandContext, flags: PoliciesFlags): Promise<void> {
  const { engine } = flags;
  if (flags.engineValues === true && engine !== undefined && flags.deleteManaged !== true) {
    return printEngineValues(context, { ...flags, engine });
  }
  const { config, origins } = await load(context, flags, { checkFiles: false });
  if (flags.deleteManaged === true) {
    if (engine !== undefined)
      throw new CliError(
        EXIT.usage,
        '--delete-managed cannot be combined with --engine: it deletes the policies of every engine',
      );
    return deletePolicies(context, config, flags.namespace);
  }
  if (flags.namespace !== undefined) throw new CliError(EXIT.usage, '--namespace requires --delete-managed');
  if (engine === undefined)
    throw new CliError(EXIT.usage, `give --engine (${ENGINE_NAMES.join(', ')}), or --delete-managed`);
  const authority = await caOf(context, flags, engine);
  let objects: readonly PolicyObject[];
  try {
    objects = renderPolicies(config, { ...flags, engine }, authority);
  } catch (error) {
    if (!(error instanceof InvalidPolicyOptionError)) throw error;
    throw new CliError(EXIT.usage, `${originOf(error, origins)}${withFlagNames(error.message, flags)}`);
  }
  // Does not fold long lines: a folded expression is hard to read and easy to break.
  context.stdout.write(objects.map((object) => stringify(object, { lineWidth: 0 })).join('---\n'));
  for (const warning of warningsOf(config, { ...flags, engine }, authority))
    context.stderr.write(`warning: ${warning}\n`);
}

/** The CA certificates that the flags give. */
async function caOf(context: CommandContext, flags: PoliciesFlags, engine: EngineName): Promise<CaChoice> {
  const caConfigMap = flags.caConfigMap === undefined ? undefined : configMapKey(flags.caConfigMap, engine);
  if (caConfigMap !== undefined && flags.caFile !== undefined)
    throw new CliError(EXIT.usage, '--ca-config-map: cannot be combined with --ca-file');
  const caBundle = flags.caFile === undefined ? undefined : await readCa(context, flags.caFile);
  return { ...(caBundle !== undefined && { caBundle }), ...(caConfigMap !== undefined && { caConfigMap }) };
}

/**
 * The engine is installed before anything is configured, so its values need no configuration; if there is one, its URL
 * is used.
 */
async function printEngineValues(
  context: CommandContext,
  flags: PoliciesFlags & { readonly engine: EngineName },
): Promise<void> {
  if (flags.namespace !== undefined) throw new CliError(EXIT.usage, '--namespace requires --delete-managed');
  const { caBundle } = await caOf(context, flags, flags.engine);
  const url = flags.url ?? (await loadIfPresent(context, flags, { checkFiles: false }))?.config.policies.url;
  try {
    context.stdout.write(engineValues(ENGINES[flags.engine], url, caBundle));
  } catch (error) {
    if (error instanceof InvalidPolicyOptionError) throw new CliError(EXIT.usage, withFlagNames(error.message, flags));
    throw error;
  }
}

/** Values without a flag come from the configuration. */
export function renderPolicies(
  config: Config,
  { engine, url = config.policies.url, failClosed = config.policies.failClosed }: ChosenFlags,
  { caBundle, caConfigMap }: CaChoice,
): readonly PolicyObject[] {
  const authority = engineNamed(engine, config.policies).transport?.ca;
  if (caBundle !== undefined && authority?.refusal !== undefined) {
    throw new CliError(EXIT.usage, `--ca-file cannot be used in ${authority.refusal}`);
  }
  if (caBundle === undefined && authority?.required === true) {
    throw new CliError(EXIT.usage, `--engine ${engine}: set --ca-file; ${ENGINES[engine].title} trusts no other CA`);
  }
  return policiesForConfig(config, {
    ...{ engine, failClosed, name: config.policies.name, nameTarget: namingTarget },
    ...(url !== undefined && { url }),
    ...(caBundle !== undefined && { caBundle }),
    ...(caConfigMap !== undefined && { caConfigMap }),
  });
}

/** Warnings about the rendered policies. */
function warningsOf(
  config: Config,
  { engine, url = config.policies.url ?? defaultUrl(engine), failClosed = config.policies.failClosed }: ChosenFlags,
  authority: CaChoice,
): readonly string[] {
  const { excludedNamespaces, undecidable } = config.policies;
  const warnings = transportWarnings({ engine, undecidable, url, failClosed, excludedNamespaces, ...authority });
  return [
    ...warnings.map((warning) =>
      warning.replaceAll(/\bcaBundle\b/g, '--ca-file').replaceAll(/\bcaConfigMap\b/g, '--ca-config-map'),
    ),
    ...copyWarnings(ENGINES[engine], config),
  ];
}

/** Deletes the policies that replicas with this configuration manage, for an uninstall. */
async function deletePolicies(context: CommandContext, config: Config, given: string | undefined): Promise<void> {
  const cluster = await connectCluster(context.env).catch((error: unknown) => {
    const reason = messageOf(error);
    throw new CliError(EXIT.infrastructure, `the cluster cannot be reached: ${reason}`);
  });
  if (cluster === undefined) {
    throw new CliError(EXIT.infrastructure, 'there is no cluster: run in a Pod, or set KUBECONFIG');
  }
  const namespace = given ?? cluster.namespace;
  const live = await PolicyObjects.connect(cluster);
  const { objects, problems } = await deleteManaged(live, config, namespace);
  for (const object of objects) context.stdout.write(`deleted ${object}\n`);
  if (problems.length > 0) throw new CliError(EXIT.infrastructure, problems.join('\n'));
  if (objects.length > 0) return;
  const nothing = `nothing to delete: namespace ${namespace} has no service with managed policies`;
  const others = await otherInstances(live, config.policies);
  // In a Pod the namespace is certain, and policies of other installs must not fail an uninstall.
  const isCertain = given === undefined && (context.env['KUBECONFIG'] ?? '') === '';
  if (others.length === 0 || isCertain) {
    context.stdout.write(`${nothing}\n`);
    return;
  }
  const choice = 'set --namespace to the namespace of the service, and lease.name as in its configuration';
  throw new CliError(EXIT.findings, `${nothing}; other installs, by Lease: ${others.join('; ')}: ${choice}`);
}

/** `NAMESPACE/LEASE (KIND NAME, …)` of every install that manages policies in the cluster. */
async function otherInstances(live: PolicyObjects, policies: Config['policies']): Promise<readonly string[]> {
  const found = new Map<string, string[]>();
  for (const kind of kindsFor(policies)) {
    for (const { metadata } of await live.managedObjects(kind, { [MANAGED_BY]: FIELD_MANAGER }, policies.name)) {
      const lease = metadata.annotations?.[LEASE_ANNOTATION] ?? 'unknown';
      found.set(lease, [...(found.get(lease) ?? []), `${kind.kind} ${metadata.name}`]);
    }
  }
  return [...found].sort().map(([lease, objects]) => `${lease} (${objects.join(', ')})`);
}

/** `-` is standard input, so that a container needs no file. */
async function readCa(context: CommandContext, file: string): Promise<string> {
  try {
    return await readInput(context, file);
  } catch (error) {
    throw new CliError(EXIT.usage, `--ca-file ${file}: ${unreadable(error)}`);
  }
}

function configMapKey(text: string, engine: EngineName): ConfigMapKey {
  const reads = (name: EngineName) => ENGINES[name].transport?.ca.configMap === true;
  if (!reads(engine)) {
    const others = enginesThat(({ name }) => reads(name)).join(', ');
    throw new CliError(EXIT.usage, `--ca-config-map cannot be used with ${engine}; it requires --engine ${others}`);
  }
  const [, namespace, name, key] = /^([^/:]+)\/([^/:]+)(?::(.+))?$/.exec(text) ?? [];
  if (namespace === undefined || name === undefined) {
    const message = 'expected NAMESPACE/NAME or NAMESPACE/NAME:KEY, such as image-swapper/image-swapper-ca';
    throw new CliError(EXIT.usage, `--ca-config-map ${JSON.stringify(text)}: ${message}`);
  }
  return { namespace, name, ...(key !== undefined && { key }) };
}

/** `FILE:LINE: ` if the option is a key of the configuration file, which the loader only checks for its own engine. */
function originOf({ option }: InvalidPolicyOptionError, origins: ReadonlyMap<string, string>): string {
  const origin = origins.get(option) ?? origins.get(`source.${option}.jmespath`);
  return origin === undefined || origin === 'default' ? '' : `${origin}: `;
}

/** The renderers name their option; users gave a flag or a key. */
function withFlagNames(message: string, { url }: Pick<PoliciesFlags, 'url'>): string {
  return message
    .replace(/^url\b/, url === undefined ? 'policies.url (or --url)' : '--url')
    .replace(/^caBundle\b/, '--ca-file')
    .replace(/^caConfigMap\b(?:\.\w+)?/, '--ca-config-map')
    .replace(/^filters\b/, 'source.filters');
}
