import { formatProblem } from '../config/problem.js';
import { printConfig } from '../config/print.js';
import { openRouteWarning } from '../core/engines/access.js';
import { compileRules } from '../core/decide/rules.js';
import { CONFIG_HASH_ANNOTATION } from '../core/policies/config-hash.js';
import { policyHash, policyHashes } from '../core/engines/config-hashes.js';
import type { Config } from '../core/config/model.js';
import { engineOf } from '../core/engines/engines.js';
import { matchesOf } from '../core/engines/for-config.js';
import { undecidedExpressions } from '../core/engines/mutating-admission-policy/undecided.js';
import type { UndecidedExpression } from '../core/engines/mutating-admission-policy/undecided.js';
import { connectCluster, isInPod } from '../kubernetes/api.js';
import type { ClusterAccess } from '../kubernetes/api.js';
import { checkPolicies } from '../kubernetes/check-policies.js';
import type { ComparedPolicy } from '../kubernetes/compare-policies.js';
import { kyvernoVersion } from '../kubernetes/kyverno-version.js';
import { managedPoliciesProblem } from '../kubernetes/managed-policies/check.js';
import { probeQueue } from '../shared-queue/probe.js';
import { probeRegistries } from '../targets/probe.js';
import type { Probe } from '../kinds/probe.js';
import { Registries } from '../targets/registries.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load, registryOptions } from './context.js';
import { CliError, EXIT } from './exit.js';
import { render, table } from './output.js';
import type { OutputFormat } from './output.js';
import { messageOf } from '../util/message-of.js';
import { namingTarget } from '../kinds/registry-naming.js';

export interface CheckFlags extends ConfigFlags {
  readonly online?: boolean;
  readonly print?: boolean;
  readonly output: OutputFormat;
}

/**
 * @returns 0, or 1 if a registry or the queue server cannot be used, or a policy in the cluster belongs to another configuration
 * @throws CliError with every problem of the configuration
 */
export async function check(context: CommandContext, argument: string | undefined, flags: CheckFlags): Promise<number> {
  if (argument !== undefined && flags.config !== undefined)
    throw new CliError(EXIT.usage, 'name only one file: as an argument or with --config');
  const file = argument ?? flags.config;
  const loaded = await load(context, { ...flags, ...(file !== undefined && { config: file }) }, { helmValues: true });
  compileRules(loaded.config, namingTarget);
  const problem = managedPoliciesProblem(loaded.config);
  if (problem !== undefined) throw new CliError(EXIT.usage, `policies.manage is true, but ${problem}`);
  if (flags.print === true) {
    context.stdout.write(printConfig(loaded, flags.output));
    return EXIT.ok;
  }
  let probes: Probe[] = [];
  if (flags.online === true) {
    const report = (problem: string): unknown => context.stderr.write(`${problem}\n`);
    // The probes report failed logins.
    const options = registryOptions(context, loaded.config, report, 'quiet');
    const registries = new Registries(loaded.config, options);
    const [ofRegistries, ofQueue] = await Promise.all([
      probeRegistries(loaded.config, registries),
      probeQueue(loaded.config.queue, options.readSecretKey),
    ]);
    probes = [...ofRegistries, ...ofQueue];
    registries.close();
  }
  const cluster = flags.online === true ? await inCluster(context, loaded.config) : [];
  const open = openRouteWarning(loaded.config);
  const undecided = undecidedIn(loaded.config);
  const result = {
    file: loaded.file,
    warnings: [
      ...loaded.warnings.map(formatProblem),
      ...(open === undefined ? [] : [open]),
      ...dryRunWarning(loaded.config),
      ...undecided.filter(({ concernsAll }) => concernsAll).map(allCallsWarning),
    ],
    policies: policyHashes(loaded.config, namingTarget),
    ...tableHashOf(loaded.config),
    undecided,
    probes,
    cluster,
  };
  context.stdout.write(render(result, flags.output, () => report(result)));
  return [...probes, ...cluster].every(({ ok }) => ok) ? EXIT.ok : EXIT.findings;
}

/** The policies in the current cluster (in-cluster config or KUBECONFIG); none without a cluster. */
async function inCluster(context: CommandContext, config: Config): Promise<readonly ComparedPolicy[]> {
  try {
    const access = await connectCluster(context.env);
    if (access === undefined) return [];
    return [...(await checkPolicies(access, config, isInPod(context.env))), ...(await retirementOf(access, config))];
  } catch (error) {
    const reason = messageOf(error);
    return [
      {
        policy: 'policies',
        ok: true,
        isUnknown: true,
        message: `not compared: the cluster cannot be reached: ${reason}`,
      },
    ];
  }
}

/** How newer versions of the engine treat its policies. */
async function retirementOf(access: ClusterAccess, { policies }: Config): Promise<readonly ComparedPolicy[]> {
  const retirement = engineOf(policies)?.retirement;
  if (retirement === undefined) return [];
  const { isRefused, message } = retirement.judge(await kyvernoVersion(access));
  return [{ policy: `policies.engine ${policies.engine}`, ok: !isRefused, message }];
}

/** Files of k8s-image-swapper contain it, because that program never read it. */
function dryRunWarning({ dryRun }: Config): readonly string[] {
  return dryRun
    ? ['dryRun is on: nothing is swapped or copied (k8s-image-swapper ignored this key); set it to false']
    : [];
}

/** With `policies.undecidable: webhook`: the expressions that the API server leaves to the service. */
function undecidedIn(config: Config): readonly UndecidedExpression[] {
  if (engineOf(config.policies)?.decides.startsSomeCopies !== true) return [];
  const filters = config.source.filters.map(({ jmespath }) => jmespath);
  return undecidedExpressions(filters, matchesOf(config));
}

function allCallsWarning({ option, expression }: UndecidedExpression): string {
  return `${option}: the API server can decide no part of ${JSON.stringify(expression)}, so every Pod with an image outside the targets calls the service`;
}

/** The hash of policies that decide without the service: no route has it. */
function tableHashOf(config: Config): { readonly tablePolicies?: string } {
  const engine = engineOf(config.policies);
  return engine?.decides.alone === true ? { tablePolicies: policyHash(config, engine, namingTarget) } : {};
}

interface Checked {
  readonly file: string | undefined;
  readonly warnings: readonly string[];
  readonly policies: ReturnType<typeof policyHashes>;
  /** With the engine mutatingadmissionpolicy. */
  readonly tablePolicies?: string;
  readonly undecided: readonly UndecidedExpression[];
  readonly probes: readonly Probe[];
  readonly cluster: readonly ComparedPolicy[];
}

function report({ file, warnings, policies, tablePolicies, undecided, probes, cluster }: Checked): string {
  const rows = [
    ...probes.map(({ registry, check: what, ok, message, state }) => [
      ok ? 'ok' : (state ?? 'missing').toUpperCase(),
      ...[registry, what, message],
    ]),
    ...cluster.map(({ policy, ok, message, isUnknown }) => [
      isUnknown === true ? 'unknown' : ok ? 'ok' : 'OTHER',
      ...[policy, 'policy', message],
    ]),
  ];
  return [
    ...warnings.map((warning) => `warning: ${warning}`),
    `${file ?? 'environment'}: the configuration is valid`,
    `its policies have the annotation ${CONFIG_HASH_ANNOTATION}: ${policies.kyverno} (Gatekeeper: ${policies.gatekeeper}${tablePolicies === undefined ? '' : `; MutatingAdmissionPolicy: ${tablePolicies}`})`,
    ...undecided.map(
      ({ option, condition }) => `the service decides the images that ${option} may concern: ${condition}`,
    ),
    ...(rows.length === 0 ? [] : [table(rows)]),
  ].join('\n');
}
