import { readFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import type { Config } from '../core/config/model.js';
import { renderGatekeeper } from '../core/policies/gatekeeper.js';
import { renderKyvernoClusterPolicy } from '../core/policies/kyverno-cluster-policy.js';
import { renderKyvernoMutatingPolicy } from '../core/policies/kyverno-mutating-policy.js';
import { renderMutatingWebhook } from '../core/policies/mutating-webhook.js';
import { PLAIN_URL, TLS_URL } from '../core/policies/transport.js';
import type { Engine } from '../core/policies/transport.js';
import type { PolicyObject } from '../core/policies/objects.js';
import { InvalidPolicyOptionError } from '../core/policies/problem.js';
import { policyTargets } from '../core/policies/targets.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load } from './context.js';
import { engineValues } from './engine-values.js';
import { CliError, EXIT } from './exit.js';

export interface PoliciesFlags extends ConfigFlags {
  readonly engine: Engine;
  readonly url?: string;
  readonly caFile?: string;
  readonly failClosed?: boolean;
  readonly engineValues?: boolean;
}

/**
 * Prints the policies of one engine for the configuration in force, ready for `kubectl apply -f -`, or the values that the
 * engine's own Helm chart needs for them.
 */
export async function policies(context: CommandContext, flags: PoliciesFlags): Promise<void> {
  const { config } = await load(context, flags, { checkFiles: false });
  const caBundle = flags.caFile === undefined ? undefined : await readCa(flags.caFile);
  let objects: readonly PolicyObject[];
  try {
    if (flags.engineValues === true) {
      context.stdout.write(engineValues(flags.engine, flags.url, caBundle));
      return;
    }
    objects = renderPolicies(config, flags, caBundle);
  } catch (error) {
    if (error instanceof InvalidPolicyOptionError) throw new CliError(EXIT.usage, flagged(error.message));
    throw error;
  }
  // Long lines stay whole: a folded expression is hard to read and easy to break.
  context.stdout.write(objects.map((object) => stringify(object, { lineWidth: 0 })).join('---\n'));
}

export function renderPolicies(
  config: Config,
  { engine, url, failClosed = false }: Pick<PoliciesFlags, 'engine' | 'url' | 'failClosed'>,
  caBundle: string | undefined,
): readonly PolicyObject[] {
  const targets = policyTargets(config);
  const filters = config.source.filters.map(({ jmespath }) => jmespath);
  const ca = caBundle === undefined ? {} : { caBundle };
  switch (engine) {
    case 'kyverno':
      if (caBundle !== undefined) {
        const message =
          "--ca-file has no place in a MutatingPolicy, which knows only Kyverno's trust store: add --engine-values for the " +
          "values of Kyverno's chart that put it there (they replace the whole store: they hold the public authorities " +
          'too), or use --engine kyverno-clusterpolicy, which carries it';
        throw new CliError(EXIT.usage, message);
      }
      return [renderKyvernoMutatingPolicy({ url: url ?? PLAIN_URL, targets, filters, failClosed })];
    case 'kyverno-clusterpolicy':
      return [renderKyvernoClusterPolicy({ url: url ?? TLS_URL, targets, filters, failClosed, ...ca })];
    case 'webhook':
      return [renderMutatingWebhook({ url: url ?? TLS_URL, targets, filters, failClosed, ...ca })];
    case 'gatekeeper':
      if (caBundle === undefined) {
        throw new CliError(EXIT.usage, '--engine gatekeeper: give --ca-file; Gatekeeper trusts no other authority');
      }
      return renderGatekeeper({ url: url ?? TLS_URL, filters, failClosed, caBundle });
  }
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CliError(EXIT.usage, `--ca-file ${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

/** The renderers name their option; people gave a flag. */
function flagged(message: string): string {
  return message
    .replace(/^url\b/, '--url')
    .replace(/^caBundle\b/, '--ca-file')
    .replace(/^filters\b/, 'source.filters');
}
