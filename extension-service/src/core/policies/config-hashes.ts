import type { Config } from '../config/model.js';
import type { NameTarget } from '../naming/target.js';
import { configHash } from './config-hash.js';
import { policyTargets } from './targets.js';

/** Hashes that policies for this configuration carry. */
export function policyHashes(
  config: Config,
  nameTarget: NameTarget,
): {
  readonly kyverno: string;
  readonly webhook: string;
  readonly gatekeeper: string;
} {
  const filters = config.source.filters.map(({ jmespath }) => jmespath);
  const whole = configHash(filters, policyTargets(config, nameTarget));
  return { kyverno: whole, webhook: whole, gatekeeper: configHash(filters, []) };
}
