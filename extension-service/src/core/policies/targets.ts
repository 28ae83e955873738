import type { Config } from '../config/model.js';
import { targetsOf } from '../config/registries.js';
import { imagePrefixes } from '../naming/target.js';
import type { NameTarget } from '../naming/target.js';

/** The image prefixes of every configured target, in order, for the policies' `targets` option. */
export function policyTargets(config: Config, nameTarget: NameTarget): string[] {
  return [...new Set(targetsOf(config).flatMap((target) => imagePrefixes(nameTarget(target))))];
}
