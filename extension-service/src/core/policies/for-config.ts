import type { Config } from '../config/model.js';
import type { NameTarget } from '../naming/target.js';
import { renderGatekeeper } from './gatekeeper.js';
import { checkGatekeeperMatches, waitsForCopy } from './gatekeeper-limits.js';
import { renderKyvernoClusterPolicy } from './kyverno-cluster-policy.js';
import type { ConfigMapKey } from './kyverno-cluster-policy.js';
import { renderKyvernoMutatingPolicy } from './kyverno-mutating-policy.js';
import { renderMutatingWebhook } from './mutating-webhook.js';
import type { PolicyObject } from './objects.js';
import type { PolicyOptions } from './options.js';
import { InvalidPolicyOptionError } from './problem.js';
import { policyTargets } from './targets.js';
import { PLAIN_URL, TLS_URL } from './transport.js';
import type { Engine } from './transport.js';

export interface ConfigPolicyOptions extends Omit<PolicyOptions, 'url'> {
  readonly engine: Engine;
  readonly nameTarget: NameTarget;
  /** @default the Service of a default install: its plain port for MutatingPolicy, else TLS */
  readonly url?: string;
  /** PEM text of the authorities that sign the service's certificate. */
  readonly caBundle?: string;
  /** Where kyverno-clusterpolicy reads that text. Not with `caBundle`. */
  readonly caConfigMap?: ConfigMapKey;
}

/** Of the Service of a default install. */
export function defaultUrl(engine: Engine): string {
  return engine === 'kyverno' ? PLAIN_URL : TLS_URL;
}

/**
 * The policies of an engine for a configuration, in the order in which to apply them.
 *
 * @throws InvalidPolicyOptionError for what the engine cannot do
 */
export function policiesForConfig(
  config: Config,
  { engine, nameTarget, caBundle, caConfigMap, ...options }: ConfigPolicyOptions,
): readonly PolicyObject[] {
  const targets = policyTargets(config, nameTarget);
  const filters = config.source.filters.map(({ jmespath }) => jmespath);
  const timeoutSeconds =
    options.timeoutSeconds ??
    (engine === 'gatekeeper' ? undefined : secondsFor(copyPoliciesOf(config), config.imageCopyDeadline));
  const shared = {
    ...options,
    ...(timeoutSeconds !== undefined && { timeoutSeconds }),
    url: options.url ?? defaultUrl(engine),
    filters,
    excludedNamespaces: [...(options.excludedNamespaces ?? []), ...config.policies.excludedNamespaces],
  };
  const ca = caBundle === undefined ? {} : { caBundle };
  switch (engine) {
    case 'kyverno':
      return [renderKyvernoMutatingPolicy({ ...shared, targets })];
    case 'kyverno-clusterpolicy': {
      const configMap = caConfigMap === undefined ? {} : { caConfigMap };
      return [renderKyvernoClusterPolicy({ ...shared, targets, ...ca, ...configMap })];
    }
    case 'webhook':
      return [renderMutatingWebhook({ ...shared, targets, ...ca })];
    case 'gatekeeper':
      if (caBundle === undefined) {
        throw new InvalidPolicyOptionError('caBundle', 'must be given: Gatekeeper trusts no other authority');
      }
      checkGatekeeperMatches([
        ...config.targets.map(({ match }, index) => ({ option: `targets[${index}].match`, match })),
        { option: 'target.match', match: config.target?.match },
      ]);
      return renderGatekeeper({ ...shared, caBundle });
  }
}

/** What looking and answering take besides, and what the API server waits at most: seconds. */
const [MARGIN, USUAL, LONGEST] = [2, 10, 30];

/** Milliseconds that a request waits for copies unless `imageCopyDeadline` says otherwise. */
export const USUAL_DEADLINE = 8_000;

/**
 * How many seconds requests may take that wait for copies up to the deadline; undefined where none waits.
 *
 * @param deadline milliseconds
 */
export function secondsFor(policies: readonly (string | undefined)[], deadline: number): number | undefined {
  if (!policies.some(waitsForCopy)) return undefined;
  return Math.min(LONGEST, Math.max(USUAL, Math.ceil(deadline / 1_000) + MARGIN));
}

function copyPoliciesOf({ targets, target, imageCopyPolicy }: Config): readonly string[] {
  return [...targets, ...(target === undefined ? [] : [target])].map((one) => one.imageCopyPolicy ?? imageCopyPolicy);
}
