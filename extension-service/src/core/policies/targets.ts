import type { Config } from '../config/model.js';
import { targetsOf } from '../config/registries.js';
import type { NameTarget } from '../naming/target.js';

/** The image prefixes of every configured target, in order, for the policies' `targets` option. */
export function policyTargets(config: Config, nameTarget: NameTarget): string[] {
  const targets = targetsOf(config).map(nameTarget);
  return [...new Set(targets.map(({ host, path }) => `${host}/${path === '' ? '' : `${path}/`}`))];
}
