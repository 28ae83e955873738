import type { Config, GateConfig, RegistryConfig, TargetConfig } from './model.js';

/** The targets in the order in which they are tried; the catch-all `target` is the last. */
export function targetsOf({ targets, target }: Pick<Config, 'targets' | 'target'>): readonly TargetConfig[] {
  return target === undefined ? targets : [...targets, target];
}

/** Every registry that the configuration names: the targets, then the sources. */
export function registriesOf(config: Pick<Config, 'targets' | 'target' | 'source'>): readonly RegistryConfig[] {
  return [...targetsOf(config), ...config.source.registries];
}

/** The files that the gates name. */
export function gateFiles({ verify, webhook }: GateConfig): readonly string[] {
  return [...(verify?.keys ?? []), verify?.trustedRoot, webhook?.caFile].filter((file) => file !== undefined);
}
