import type { PoliciesConfig } from '../../core/config/model.js';
import { engineOf } from '../../core/engines/engines.js';
import type { PolicyObject } from '../../core/policies/objects.js';
import { POLICY_KINDS } from './policy-objects.js';
import type { PolicyKind } from './policy-objects.js';

/** A name under which an earlier configuration can have left an object behind. */
export interface Leftover {
  readonly kind: PolicyKind;
  readonly name: string;
}

/**
 * Names to look at for objects that are no longer needed: those of every engine, for each `policies.name` that was in
 * force since the process began. Each is looked at once after a change, and again only after a failure.
 */
export class Leftovers {
  private readonly candidates = new Map<string, Leftover>();
  private readonly policyNames = new Set<string>();
  private policies: PoliciesConfig | undefined;

  /** Looks at all names again: another replica has written since. */
  begin(): void {
    this.policies = undefined;
  }

  follow(policies: PoliciesConfig): void {
    if (policies === this.policies) return;
    this.policies = policies;
    this.policyNames.add(policies.name);
    for (const policyName of this.policyNames) {
      for (const kind of POLICY_KINDS) {
        for (const name of kind.names(policyName)) this.candidates.set(keyOf(kind.kind, name), { kind, name });
      }
    }
  }

  /** Names that the wanted objects do not have: `own` of the kinds of the engine in use, `others` of other engines. */
  except(
    wanted: readonly PolicyObject[],
    engine: PoliciesConfig['engine'],
  ): { readonly own: readonly Leftover[]; readonly others: readonly Leftover[] } {
    const inUse = new Set(wanted.map(({ kind, metadata }) => keyOf(kind, metadata.name)));
    const kinds = new Set((engineOf(engine)?.kinds ?? []).map(({ kind }) => kind));
    const rest = [...this.candidates].filter(([key]) => !inUse.has(key)).map(([, leftover]) => leftover);
    return {
      own: rest.filter(({ kind }) => kinds.has(kind.kind)),
      others: rest.filter(({ kind }) => !kinds.has(kind.kind)),
    };
  }

  /** The object is gone, or was never there. */
  settled({ kind, name }: Leftover): void {
    this.candidates.delete(keyOf(kind.kind, name));
  }
}

function keyOf(kind: PolicyObject['kind'], name: string): string {
  return `${kind} ${name}`;
}
