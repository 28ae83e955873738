import type { Config } from '../config/model.js';
import { configHash } from './config-hash.js';
import { policyTargets } from './targets.js';

/** Hashes that policies for this configuration carry. */
export function policyHashes(config: Config): {
  readonly kyverno: string;
  readonly webhook: string;
  readonly gatekeeper: string;
} {
  const filters = config.source.filters.map(({ jmespath }) => jmespath);
  const whole = configHash(filters, policyTargets(config));
  return { kyverno: whole, webhook: whole, gatekeeper: configHash(filters, []) };
}
