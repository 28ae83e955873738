import type { RegistryConfig } from '../core/config/model.js';
import { acr } from './acr/kind.js';
import { aws } from './aws/kind.js';
import { gcp } from './gcp/kind.js';
import type { RegistryKind } from './kind.js';
import { oci } from './oci/kind.js';

/** Every kind of registry, in the order of messages and documentation. */
export const REGISTRY_KINDS: readonly RegistryKind<unknown>[] = [aws, gcp, oci, acr];

/** Values of `type`. */
export const REGISTRY_TYPES = REGISTRY_KINDS.map(({ type }) => type);

const byType = new Map(REGISTRY_KINDS.map((kind) => [kind.type, kind]));

/** The kind of a configured registry, and its settings. @throws Error for an unknown type */
export function kindOf(registry: RegistryConfig): { readonly kind: RegistryKind<unknown>; readonly settings: unknown } {
  const { type } = registry;
  const kind = byType.get(type);
  if (kind === undefined) throw new Error(`the registry kind ${type} does not exist`);
  return { kind, settings: registry[type] };
}
