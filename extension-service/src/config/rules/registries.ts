import type { Config, RegistryConfig, TargetConfig } from '../../core/config/model.js';
import { REGISTRY_KINDS } from '../../kinds/kinds.js';
import type { Parsed } from '../../schema/parsed.js';
import type { Path } from '../tree.js';
import type { RuleContext } from './context.js';

/** A registry of the configuration, with its path; undefined if no part of it parsed. */
export interface WithLocation<T> {
  readonly path: Path;
  readonly config: Parsed<T> | undefined;
}

/** The targets in the order in which they are tried. */
export function targetsOf({ config }: { readonly config: Parsed<Config> }): readonly WithLocation<TargetConfig>[] {
  return [
    ...(config.targets ?? []).map((target, index) => ({ path: ['targets', index], config: target })),
    ...(config.target === undefined ? [] : [{ path: ['target'], config: config.target }]),
  ];
}

/** Every registry: the targets, then the sources. */
export function registriesOf(context: { readonly config: Parsed<Config> }): readonly WithLocation<RegistryConfig>[] {
  const sources = context.config.source?.registries ?? [];
  return [
    ...targetsOf(context),
    ...sources.map((config, index) => ({ path: ['source', 'registries', index], config })),
  ];
}

/** The settings of one kind that parsed; if the type is known, only those of that type. */
export function settingsOf({ config }: WithLocation<RegistryConfig>, type: string): Parsed<object> | undefined {
  const settings = config?.[type];
  return typeof settings === 'object' && settings !== null ? settings : undefined;
}

/** Checks the keys of each registry with the rules of its kind. */
export function checkRegistries(context: RuleContext): void {
  for (const kind of REGISTRY_KINDS) {
    for (const registry of registriesOf(context)) {
      const settings = settingsOf(registry, kind.type);
      const isSource = registry.path[0] === 'source';
      if (settings !== undefined) kind.rules?.(context.within([...registry.path, kind.type]), settings, isSource);
    }
  }
}
