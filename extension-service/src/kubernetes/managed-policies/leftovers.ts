import type { PoliciesConfig } from '../../core/config/model.js';
import { engineOf, TABLE_KINDS } from '../../core/engines/engines.js';
import type { PolicyObject } from '../../core/policies/objects.js';
import { ALL_KINDS, policyKind } from './policy-objects.js';
import type { PolicyKind } from './policy-objects.js';

/** A name that an object of an earlier configuration may have. */
export interface LeftoverPolicy {
  readonly kind: PolicyKind;
  readonly name: string;
  /** Names of objects that only exist if this one does, in the order in which to delete them before it. */
  readonly successors?: readonly string[];
}

/**
 * Names to check for objects that are no longer needed: those of every engine, for each `policies.name` since the
 * process started. Each is checked once after a change, and again only after a failure.
 */
export class LeftoverPolicies {
  private readonly candidates = new Map<string, LeftoverPolicy>();
  private readonly policyNames = new Set<string>();
  private policies: PoliciesConfig | undefined;

  /** Checks all names again, because another replica has written in the meantime. */
  begin(): void {
    this.policies = undefined;
  }

  follow(policies: PoliciesConfig): void {
    if (policies === this.policies) return;
    this.policies = policies;
    this.policyNames.add(policies.name);
    for (const policyName of this.policyNames) {
      for (const leftover of ALL_KINDS.flatMap((kind) => everyName(kind, policyName)))
        this.candidates.set(keyOf(leftover.kind.kind, leftover.name), leftover);
    }
  }

  /** Names other than those of the wanted objects: `own` of the current engine's kinds, `others` of other engines. */
  except(
    wanted: readonly PolicyObject[],
    policies: PoliciesConfig,
  ): { readonly own: readonly LeftoverPolicy[]; readonly others: readonly LeftoverPolicy[] } {
    const inUse = new Set(wanted.map(({ kind, metadata }) => keyOf(kind, metadata.name)));
    const kinds = new Set((engineOf(policies)?.kinds ?? []).map(({ kind }) => kind));
    const rest = [...this.candidates].filter(([key]) => !inUse.has(key)).map(([, leftover]) => leftover);
    return {
      own: rest.filter(({ kind }) => kinds.has(kind.kind)),
      others: rest.filter(({ kind }) => !kinds.has(kind.kind)),
    };
  }

  /** The object is gone, or never existed. */
  settled({ kind, name }: LeftoverPolicy): void {
    this.candidates.delete(keyOf(kind.kind, name));
  }
}

/** Every object of the kind that may exist. */
function everyName(kind: PolicyKind, policyName: string): readonly LeftoverPolicy[] {
  const names = kind.names(policyName);
  const [first = '', ...others] = names;
  return kind.consecutive === true
    ? [{ kind, name: first, successors: others.toReversed() }]
    : names.map((name) => ({ kind, name }));
}

/**
 * The objects that contain a table, in the order in which to delete them: the policies themselves if they contain it as
 * literals. A policy that reads a table from objects calls the service for every Pod once they are gone.
 */
export function tablesOf(policies: PoliciesConfig): readonly LeftoverPolicy[] {
  const engine = engineOf(policies);
  if (engine?.table === undefined) return [];
  const ofTable = new Set(TABLE_KINDS.map(({ kind }) => kind));
  const kinds = engine.kinds.filter(({ kind }) => engine.table === 'literals' || ofTable.has(kind));
  return kinds.toReversed().flatMap((kind) => everyName(policyKind(kind), policies.name));
}

function keyOf(kind: PolicyObject['kind'], name: string): string {
  return `${kind} ${name}`;
}
