import type { Config } from '../core/config/model.js';
import { CONFIG_HASH_ANNOTATION } from '../core/policies/config-hash.js';
import { policyHash } from '../core/engines/config-hashes.js';
import { engineOf, engineOfKind } from '../core/engines/engines.js';
import { DEFAULT_NAME, NAME_LABEL } from '../core/policies/options.js';
import type { LivePolicy, PolicyKind, PolicyObjects } from './managed-policies/policy-objects.js';
import { kindsFor } from './managed-policies/policy-objects.js';
import { messageOf } from '../util/message-of.js';
import { namingTarget } from '../kinds/registry-naming.js';

/** A policy of the service that is in the cluster, regardless of who applied it. */
export interface ComparedPolicy {
  /** `KIND NAME`, or `KIND` if objects of the kind cannot be read. */
  readonly policy: string;
  readonly ok: boolean;
  /** The policy could not be read, so `ok` only means that no problem is known. */
  readonly isUnknown?: boolean;
  /** Whether it matches the configuration, and what to do if it does not. */
  readonly message: string;
}

/** The label that every policy has. */
const LABELS = { [NAME_LABEL]: DEFAULT_NAME };

/** The policies of one kind in the cluster, or why they could not be read. */
export interface FoundPolicies {
  readonly kind: PolicyKind;
  readonly live: readonly LivePolicy[];
  readonly problem?: string;
}

/** Finds the policies of every kind, regardless of who applied them. */
export function findPolicies(
  objects: Pick<PolicyObjects, 'withLabels'>,
  { policies }: Config,
): Promise<readonly FoundPolicies[]> {
  return Promise.all(
    comparedKinds(policies).map(async (kind): Promise<FoundPolicies> => {
      try {
        return { kind, live: await objects.withLabels(kind, LABELS, policies.name) };
      } catch (error) {
        return { kind, live: [], problem: messageOf(error) };
      }
    }),
  );
}

/** Without the table's objects, which depend on the targets' contents. */
function comparedKinds(policies: Config['policies']): readonly PolicyKind[] {
  return kindsFor(policies).filter(({ consecutive }) => consecutive !== true);
}

/** Compares the policies in the cluster with those that the configuration needs, by their hash. */
export function comparePolicies(policies: readonly FoundPolicies[], config: Config): readonly ComparedPolicy[] {
  const found = policies.flatMap(({ kind: { kind }, live, problem }): readonly ComparedPolicy[] => {
    // `ok`, because no problem with these policies is known.
    if (problem !== undefined)
      return [{ policy: kind, ok: true, isUnknown: true, message: `not compared: ${problem}` }];
    const configured = engineOf(config.policies);
    const has = configured?.kinds.some((one) => one.kind === kind) === true;
    const expected = policyHash(config, has ? configured : engineOfKind(kind), namingTarget);
    return live.map(({ metadata: { name, annotations } }) => ({
      policy: `${kind} ${name}`,
      ...compare(annotations?.[CONFIG_HASH_ANNOTATION], expected),
    }));
  });
  const { engine } = config.policies;
  if (found.length > 0 || engine === 'none') return found;
  // Not a problem yet: they may be applied later, or have the label of a chart whose name was changed.
  const message = `none found with the label ${NAME_LABEL}=${DEFAULT_NAME} (policies.engine: ${engine}); without policies no Pod is swapped`;
  return [{ policy: 'policies', ok: true, message }];
}

function compare(hash: string | undefined, expected: string): Pick<ComparedPolicy, 'ok' | 'message'> {
  if (hash === expected) return { ok: true, message: 'matches this configuration' };
  if (hash === undefined)
    return { ok: true, message: 'was rendered without a configuration: the service evaluates filters' };
  return {
    ok: false,
    message: `was rendered for another configuration (${hash}, not ${expected}): apply the output of image-swapper policies`,
  };
}
