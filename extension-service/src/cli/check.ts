import { formatProblem } from '../config/problem.js';
import { printConfig } from '../config/print.js';
import { compileRules } from '../core/decide/rules.js';
import { CONFIG_HASH_ANNOTATION } from '../core/policies/config-hash.js';
import { policyHashes } from '../core/policies/config-hashes.js';
import { managedPoliciesProblem } from '../kubernetes/managed-policies/check.js';
import { probeRegistries } from '../targets/probe.js';
import type { Probe } from '../targets/probe.js';
import { Registries } from '../targets/registries.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load, registryOptions } from './context.js';
import { CliError, EXIT } from './exit.js';
import { render, table } from './output.js';
import type { OutputFormat } from './output.js';

export interface CheckFlags extends ConfigFlags {
  readonly online?: boolean;
  readonly print?: boolean;
  readonly output: OutputFormat;
}

/** @returns 0, or 1 when a registry cannot be used. @throws CliError with every problem of the configuration */
export async function check(context: CommandContext, flags: CheckFlags): Promise<number> {
  const loaded = await load(context, flags);
  compileRules(loaded.config);
  const problem = managedPoliciesProblem(loaded.config);
  if (problem !== undefined) throw new CliError(EXIT.usage, `policies.manage is true, and ${problem}`);
  if (flags.print === true) {
    context.stdout.write(printConfig(loaded, flags.output));
    return EXIT.ok;
  }
  let probes: Probe[] = [];
  if (flags.online === true) {
    let registries: Registries;
    try {
      registries = new Registries(
        loaded.config,
        registryOptions(context, loaded.config, (problem) => context.stderr.write(`${problem}\n`)),
      );
    } catch (error) {
      throw new CliError(EXIT.usage, error instanceof Error ? error.message : String(error));
    }
    probes = await probeRegistries(loaded.config, registries);
    registries.close();
  }
  const result = {
    file: loaded.file,
    warnings: loaded.warnings.map(formatProblem),
    policies: policyHashes(loaded.config),
    probes,
  };
  context.stdout.write(render(result, flags.output, () => report(result, probes)));
  return probes.every(({ ok }) => ok) ? EXIT.ok : EXIT.findings;
}

interface Checked {
  readonly file: string | undefined;
  readonly warnings: readonly string[];
  readonly policies: ReturnType<typeof policyHashes>;
}

function report({ file, warnings, policies }: Checked, probes: readonly Probe[]): string {
  return [
    ...warnings.map((warning) => `warning: ${warning}`),
    `${file ?? 'environment'}: the configuration is valid`,
    `policies for it carry ${CONFIG_HASH_ANNOTATION}: ${policies.kyverno} (Gatekeeper's: ${policies.gatekeeper})`,
    ...(probes.length === 0
      ? []
      : [
          table(
            probes.map(({ registry, check: what, ok, message }) => [ok ? 'ok' : 'MISSING', registry, what, message]),
          ),
        ]),
  ].join('\n');
}
