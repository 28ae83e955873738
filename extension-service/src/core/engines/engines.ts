import type { PoliciesConfig, PolicyEngine } from '../config/model.js';
import type { PolicyObject } from '../policies/objects.js';
import { systemNamespacesAnd } from '../policies/options.js';
import type { Engine, ManagedKind } from './engine.js';
import { gatekeeper } from './gatekeeper/engine.js';
import { kyvernoClusterPolicy } from './kyverno-clusterpolicy/engine.js';
import { kyverno } from './kyverno/engine.js';
import { mutatingAdmissionPolicy } from './mutating-admission-policy/engine.js';
import { ENGINE_NAMES } from './names.js';
import type { EngineName } from './names.js';
import { webhook } from './webhook/engine.js';

/** Every engine, by name. */
export const ENGINES: Readonly<Record<EngineName, Engine>> = {
  kyverno,
  'kyverno-clusterpolicy': kyvernoClusterPolicy,
  gatekeeper,
  webhook,
  mutatingadmissionpolicy: mutatingAdmissionPolicy,
};

/** The keys of `policies` that select an engine. */
export interface EngineChoice {
  readonly engine?: PolicyEngine | undefined;
  readonly undecidable?: PoliciesConfig['undecidable'] | undefined;
  readonly table?: boolean | undefined;
}

/** The engine that `policies` select; undefined for `none` and for an unknown name. */
export function engineOf(policies: EngineChoice | null | undefined): Engine | undefined {
  const { engine, undecidable = 'refuse', table = false } = policies ?? {};
  if (engine === 'none' || engine === undefined) return undefined;
  const plain = ENGINES[engine] as Engine | undefined;
  return (table ? plain?.withTable : undefined) ?? (undecidable === 'refuse' ? undefined : plain?.withWebhook) ?? plain;
}

/** The same for the name of an engine. */
export function engineNamed(engine: EngineName, { undecidable, table }: Omit<EngineChoice, 'engine'>): Engine {
  return engineOf({ engine, undecidable, table }) ?? ENGINES[engine];
}

/** Names of the engines that match a predicate, in the usual order. */
export function enginesThat(is: (engine: Engine) => boolean): readonly EngineName[] {
  return ENGINE_NAMES.filter((name) => is(ENGINES[name]));
}

/** The namespaces that rendered policies always exclude. */
export function excludedByEngines(name: PolicyEngine): readonly string[] {
  return systemNamespacesAnd(engineOf({ engine: name })?.namespaces ?? []);
}

/** The kinds of every engine, in the order in which to delete: callers before the objects that they need. */
export const MANAGED_KINDS: readonly ManagedKind[] = ENGINE_NAMES.flatMap((name) => ENGINES[name].kinds.toReversed());

/** The kinds that an engine only needs with `policies.table`, in the order in which to delete. */
export const TABLE_KINDS: readonly ManagedKind[] = ENGINE_NAMES.flatMap((name) => {
  const { kinds, withTable } = ENGINES[name];
  return (withTable?.kinds ?? []).filter((kind) => !kinds.includes(kind)).toReversed();
});

/** The engine whose policies consist of this kind. */
export function engineOfKind(kind: PolicyObject['kind']): Engine {
  const has = (engine: Engine | undefined): boolean => engine?.kinds.some((known) => known.kind === kind) === true;
  const name = ENGINE_NAMES.find((one) => has(ENGINES[one]) || has(ENGINES[one].withTable));
  if (name === undefined) throw new Error(`no engine has policies of the kind ${kind}`);
  return ENGINES[name];
}
